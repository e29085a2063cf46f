//! Softmax over the last dimension, and its logarithm.
//!
//! y = e^(x − m) / Σ e^(x − m) with m the row's maximum, dx = y · (dy − Σ dy · y);
//! ln y = x − m − ln Σ e^(x − m), dx = dy − y · Σ dy.

pub(crate) mod cases;
mod cpu;
mod definition;
mod gpu;

use crate::DType;
use crate::definition::{Array, Defined};
use crate::device::Gpu;
use crate::error::{Error, Result};
use crate::operation::{Context, Forward, Operation, Saves};
use crate::tape::{Var, apply_one};
use crate::tensor::{Spec, Tensor};

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Softmax {
    /// Probabilities.
    Probability,
    /// Their logarithms.
    Logarithm,
}

/// Softmax over the last dimension.
///
/// # Errors
/// A scalar; a type other than a float type.
pub fn softmax(x: &Var) -> Result<Var> {
    apply_one(Softmax::Probability, &[x])
}

/// ln softmax over the last dimension, accurate where probabilities are near 0.
///
/// # Errors
/// As [`softmax`].
pub fn log_softmax(x: &Var) -> Result<Var> {
    apply_one(Softmax::Logarithm, &[x])
}

impl Forward for Softmax {
    fn name(&self) -> &'static str {
        match self {
            Self::Probability => "softmax",
            Self::Logarithm => "log_softmax",
        }
    }

    fn outputs(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        let [x] = inputs else {
            return Err(Error::shape(self.name(), format!("takes one input, got {}", inputs.len())));
        };
        if !matches!(x.dtype, DType::F32 | DType::F64) {
            return Err(Error::dtype(self.name(), format!("takes f32 or f64, got {}", x.dtype)));
        }
        if x.shape.rank() == 0 {
            return Err(Error::shape(self.name(), "a scalar has no last dimension"));
        }
        Ok(vec![*x])
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

impl Operation for Softmax {
    fn saves(&self) -> Saves {
        Saves { inputs: &[], outputs: &[0] }
    }

    fn backward_cpu(&self, context: &Context) -> Result<Vec<Option<Tensor>>> {
        Ok(vec![Some(cpu::backward(*self, context.output(0)?, context.d_output(0)?)?)])
    }

    fn backward_gpu(&self, gpu: &Gpu, context: &Context) -> Result<Vec<Option<Tensor>>> {
        Ok(vec![Some(gpu::backward(*self, gpu, context.output(0)?, context.d_output(0)?)?)])
    }
}

#[cfg(test)]
mod tests {
    use crate::check::test_device;
    use crate::{Device, Tensor};

    /// Numbers below what stands for minus infinity elsewhere.
    #[test]
    fn rows_of_the_least_numbers_have_weights() {
        for device in [Some(Device::cpu()), test_device::gpu()].into_iter().flatten() {
            let x = Tensor::new(
                &device,
                &[2, 5],
                &[-2e38f32, -2e38, -3e38, -3e38, -3e38, -1e31, -2e31, -2e31, -2e31, -2e31],
            );
            let y = super::softmax(&x.unwrap().into()).unwrap().into_tensor().to_vec::<f32>().unwrap();
            assert_eq!(y, [0.5, 0.5, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0], "{}", device.name());
        }
    }
}
