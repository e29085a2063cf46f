//! Sums and means, over the last dimension or over everything.
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
use crate::tape::{Var, apply_one};
use crate::tensor::{Spec, Tensor};

/// What is summed, and whether it is divided by how many there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reduction {
    /// Σ over the last dimension.
    SumLast,
    /// The mean over the last dimension.
    MeanLast,
    /// Σ over everything.
    SumAll,
    /// The mean over everything.
    MeanAll,
}

/// Σ over the last dimension, which becomes 1: \[.., n\] → \[.., 1\].
///
/// # Errors
/// A scalar; a type other than a float type.
pub fn sum_last(x: &Var) -> Result<Var> {
    apply_one(Reduction::SumLast, &[x])
}

/// The mean over the last dimension, which becomes 1: \[.., n\] → \[.., 1\].
///
/// # Errors
/// As [`sum_last`]; no elements to take a mean of.
pub fn mean_last(x: &Var) -> Result<Var> {
    apply_one(Reduction::MeanLast, &[x])
}

/// Σ over everything: a scalar, of shape \[\].
///
/// # Errors
/// A type other than a float type.
pub fn sum(x: &Var) -> Result<Var> {
    apply_one(Reduction::SumAll, &[x])
}

/// The mean over everything: a scalar, of shape \[\].
///
/// # Errors
/// As [`sum`]; no elements to take a mean of.
pub fn mean(x: &Var) -> Result<Var> {
    apply_one(Reduction::MeanAll, &[x])
}

impl Reduction {
    /// Rows and columns of x as they are summed.
    fn extent(self, x: &[usize]) -> [usize; 2] {
        let elements = x.iter().product::<usize>();
        match self {
            Self::SumAll | Self::MeanAll => [1, elements],
            Self::SumLast | Self::MeanLast => {
                let (columns, outer) = x.split_last().map_or((1, &[][..]), |(last, outer)| (*last, outer));
                [outer.iter().product(), columns]
            }
        }
    }

    fn factor(self, columns: usize) -> f64 {
        match self {
            Self::SumLast | Self::SumAll => 1.0,
            Self::MeanLast | Self::MeanAll => 1.0 / columns as f64,
        }
    }
}

impl Forward for Reduction {
    fn name(&self) -> &'static str {
        match self {
            Self::SumLast => "sum_last",
            Self::MeanLast => "mean_last",
            Self::SumAll => "sum",
            Self::MeanAll => "mean",
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
        if self.extent(&sizes)[1] == 0 && matches!(self, Self::MeanLast | Self::MeanAll) {
            return Err(Error::shape(self.name(), format!("{:?} has no elements to take a mean of", x.shape)));
        }
        match self {
            Self::SumAll | Self::MeanAll => sizes.clear(),
            Self::SumLast | Self::MeanLast => match sizes.last_mut() {
                Some(last) => *last = 1,
                None => return Err(Error::shape(self.name(), "a scalar has no last dimension")),
            },
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
