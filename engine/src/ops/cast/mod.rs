//! Between types: f32, f64 and f16 into each other, and u32 into any of them.
//!
//! Results are rounded to the nearest, of two equally near ones to the even one; what is beyond the type's range becomes
//! infinite, for f16 from 65520 on; a NaN stays one. On a GPU f16 is converted by integer arithmetic, so that bits are the
//! same on every adapter, with or without `SHADER_F16`; only u32 above 2^24 may be rounded either way there, and there is
//! no f64. The gradient is cast back to the input's type.

pub(crate) mod cases;
mod cpu;
mod gpu;
#[cfg(test)]
mod tests;

use crate::DType;
use crate::definition::{Array, Defined};
use crate::device::{Device, Gpu};
use crate::error::{Error, Result};
use crate::operation::{Context, Forward, Operation, Saves};
use crate::tape::{Var, apply_one};
use crate::tensor::{Spec, Tensor};

const NAME: &str = "cast";

/// A cast to a type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cast {
    /// The type of the result.
    pub to: DType,
}

/// `x` in another type; `x` itself if it has it already. See the module for how results are rounded.
///
/// # Errors
/// A cast to u32; f64 on a GPU.
pub fn cast(x: &Var, to: DType) -> Result<Var> {
    apply_one(Cast { to }, &[x])
}

/// `x` in another type, unrecorded.
pub(crate) fn convert(x: &Tensor, to: DType) -> Result<Tensor> {
    if x.dtype() == to {
        return Ok(x.clone());
    }
    match x.device() {
        Device::Cpu(cpu) => cpu::convert(&cpu, x, to),
        Device::Gpu(gpu) => gpu::convert(&gpu, x, to),
    }
}

impl Cast {
    fn backward(context: &Context) -> Result<Vec<Option<Tensor>>> {
        let x = context.input_specs[0].dtype;
        // An index has no gradient.
        let d_x = (x != DType::U32).then(|| convert(context.d_output(0)?, x)).transpose()?;
        Ok(vec![d_x])
    }
}

impl Forward for Cast {
    fn name(&self) -> &'static str {
        NAME
    }

    fn outputs(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        let [x] = inputs else {
            return Err(Error::shape(NAME, format!("takes one input, got {}", inputs.len())));
        };
        if self.to == DType::U32 && x.dtype != DType::U32 {
            let message = format!("{} {:?} cannot become u32: only f32, f64 and f16 can be cast to", x.dtype, x.shape);
            return Err(Error::dtype(NAME, message));
        }
        Ok(vec![Spec { dtype: self.to, ..*x }])
    }

    fn forward_cpu(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        Ok(vec![convert(inputs[0], self.to)?])
    }

    fn forward_gpu(&self, _: &Gpu, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        Ok(vec![convert(inputs[0], self.to)?])
    }

    /// y = x; the rounding is what the result's type does to any number.
    fn definition(&self, inputs: &[Array]) -> Vec<Defined> {
        vec![Defined::elementwise(inputs[0].clone())]
    }
}

impl Operation for Cast {
    fn saves(&self) -> Saves {
        Saves::default()
    }

    fn backward_cpu(&self, context: &Context) -> Result<Vec<Option<Tensor>>> {
        Self::backward(context)
    }

    fn backward_gpu(&self, _: &Gpu, context: &Context) -> Result<Vec<Option<Tensor>>> {
        Self::backward(context)
    }
}
