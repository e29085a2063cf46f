//! Sums and means over the last dimension; those over everything are the same of one long row.
//!
//! y = f · Σ x with f = 1 for the sum and 1/n for the mean; dx = f · dy at every place of its row.

pub(crate) mod cases;
mod cpu;
mod definition;
mod gpu;
#[cfg(test)]
mod tests;

use crate::DType;
use crate::definition::{Array, Defined};
use crate::device::Gpu;
use crate::error::{Error, Result};
use crate::operation::{Context, Forward, Operation, Saves};
use crate::ops::reshape::reshape;
use crate::tape::{Var, apply_one};
use crate::tensor::{Spec, Tensor};

/// The sum, or the sum divided by how many there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reduction {
    /// Σ over the last dimension.
    Sum,
    /// The mean over the last dimension.
    Mean,
}

/// Σ over the last dimension, which becomes 1: \[.., n\] → \[.., 1\].
///
/// # Errors
/// A scalar; a type other than a float type.
pub fn sum_last(x: &Var) -> Result<Var> {
    apply_one(Reduction::Sum, &[x])
}

/// The mean over the last dimension, which becomes 1: \[.., n\] → \[.., 1\].
///
/// # Errors
/// As [`sum_last`]; no elements to take a mean of.
pub fn mean_last(x: &Var) -> Result<Var> {
    apply_one(Reduction::Mean, &[x])
}

/// Σ over everything: a scalar, of shape \[\].
///
/// # Errors
/// A type other than a float type.
pub fn sum(x: &Var) -> Result<Var> {
    reshape(&sum_last(&reshape(x, &[x.tensor().elements()])?)?, &[])
}

/// The mean over everything: a scalar, of shape \[\].
///
/// # Errors
/// As [`sum`]; no elements to take a mean of.
pub fn mean(x: &Var) -> Result<Var> {
    reshape(&mean_last(&reshape(x, &[x.tensor().elements()])?)?, &[])
}

impl Reduction {
    fn factor(self, columns: usize) -> f64 {
        match self {
            Self::Sum => 1.0,
            Self::Mean => 1.0 / columns as f64,
        }
    }
}

impl Forward for Reduction {
    fn name(&self) -> &'static str {
        match self {
            Self::Sum => "sum_last",
            Self::Mean => "mean_last",
        }
    }

    fn outputs(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        let [x] = inputs else {
            return Err(Error::shape(self.name(), format!("takes one input, got {}", inputs.len())));
        };
        if !matches!(x.dtype, DType::F32 | DType::F64) {
            return Err(Error::dtype(self.name(), format!("takes f32 or f64, got {}", x.dtype)));
        }
        let mut sizes = x.shape.sizes().to_vec();
        match sizes.last_mut() {
            None => return Err(Error::shape(self.name(), "a scalar has no last dimension")),
            Some(0) if *self == Self::Mean => {
                return Err(Error::shape(self.name(), format!("{:?} has no elements to take a mean of", x.shape)));
            }
            Some(last) => *last = 1,
        }
        Ok(vec![Spec::new(&sizes, x.dtype)?])
    }

    fn forward_cpu(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        Ok(vec![cpu::forward(*self, inputs[0])?])
    }

    fn forward_gpu(&self, gpu: &Gpu, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        Ok(vec![gpu::forward(*self, gpu, inputs[0])?])
    }

    fn definition(&self, inputs: &[Array]) -> Vec<Defined> {
        definition::define(*self, &inputs[0])
    }
}

impl Operation for Reduction {
    fn saves(&self) -> Saves {
        Saves::default()
    }

    fn backward_cpu(&self, context: &Context) -> Result<Vec<Option<Tensor>>> {
        Ok(vec![Some(cpu::backward(*self, context)?)])
    }

    fn backward_gpu(&self, gpu: &Gpu, context: &Context) -> Result<Vec<Option<Tensor>>> {
        Ok(vec![Some(gpu::backward(*self, gpu, context)?)])
    }
}
