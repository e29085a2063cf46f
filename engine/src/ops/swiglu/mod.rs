//! SwiGLU, the gate of a feed-forward layer: y = silu(g) · u with silu(g) = g · σ(g) (Shazeer 2020).
//!
//! With s = σ(g): dg = dy · u · s · (1 + g · σ(−g)), du = dy · g · s; 1 − s would cancel for σ(−g). In f16, on a
//! GPU that has it, everything is read and written as such and computed in f32.

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

/// Where gate and up are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SwiGlu {
    /// Two tensors of equal shape.
    Separate,
    /// One tensor, each row the gate's and then up's.
    Packed,
}

/// silu(gate) · up, of equal shape.
///
/// # Errors
/// Shapes that differ; types other than two equal float types; f16 on the CPU.
pub fn swiglu(gate: &Var, up: &Var) -> Result<Var> {
    apply_one(SwiGlu::Separate, &[gate, up])
}

/// silu(x\[.., ..f\]) · x\[.., f..\]: \[.., 2f\] → \[.., f\].
///
/// # Errors
/// An odd last dimension; types other than a float type; f16 on the CPU.
pub fn swiglu_packed(x: &Var) -> Result<Var> {
    apply_one(SwiGlu::Packed, &[x])
}

impl Forward for SwiGlu {
    fn name(&self) -> &'static str {
        match self {
            Self::Separate => "swiglu",
            Self::Packed => "swiglu_packed",
        }
    }

    fn outputs(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        let shapes: Vec<_> = inputs.iter().map(|input| input.shape).collect();
        let types: Vec<_> = inputs.iter().map(|input| input.dtype).collect();
        if types.iter().any(|&dtype| dtype != types[0] || dtype == DType::U32) {
            return Err(Error::dtype(self.name(), format!("takes one float type for all inputs, got {types:?}")));
        }
        match (self, inputs) {
            (Self::Separate, [gate, up]) if gate.shape == up.shape => Ok(vec![*gate]),
            (Self::Separate, _) => {
                Err(Error::shape(self.name(), format!("takes gate and up of equal shape, got {shapes:?}")))
            }
            (Self::Packed, [x]) if x.shape.rank() > 0 && x.shape.last().is_multiple_of(2) => {
                let mut sizes = x.shape.sizes().to_vec();
                if let Some(last) = sizes.last_mut() {
                    *last /= 2;
                }
                Ok(vec![Spec::new(&sizes, x.dtype)?])
            }
            (Self::Packed, _) => {
                Err(Error::shape(self.name(), format!("takes one tensor with an even last dimension, got {shapes:?}")))
            }
        }
    }

    fn forward_cpu(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        cpu::forward(*self, inputs)
    }

    fn forward_gpu(&self, gpu: &Gpu, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        gpu::forward(*self, gpu, inputs)
    }

    fn definition(&self, inputs: &[Array]) -> Vec<Defined> {
        definition::define(*self, inputs)
    }
}

impl Operation for SwiGlu {
    fn saves(&self) -> Saves {
        match self {
            Self::Separate => Saves { inputs: &[0, 1], outputs: &[] },
            Self::Packed => Saves { inputs: &[0], outputs: &[] },
        }
    }

    fn backward_cpu(&self, context: &Context) -> Result<Vec<Option<Tensor>>> {
        cpu::backward(*self, context)
    }

    fn backward_gpu(&self, gpu: &Gpu, context: &Context) -> Result<Vec<Option<Tensor>>> {
        gpu::backward(*self, gpu, context)
    }
}
