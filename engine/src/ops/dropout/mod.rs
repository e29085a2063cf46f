//! Dropout: each element is set to 0 with probability p, and the others are divided by 1 − p, so that the mean stays.
//!
//! y = x · m / (1 − p), dx = dy · m / (1 − p)
//!
//! The mask m is not stored. Whether element i is dropped follows from the seed and i alone: word i mod 4 of Philox4x32-10 with
//! counter ⌊i / 4⌋ and the seed as key is compared with ⌊p · 2³² + ½⌋ as an integer. So forward and backward drop the same
//! elements, and the CPU and every GPU drop the same ones. Each use in a network and each step needs a seed of its own.
//!
//! p = 0 gives x itself, p = 1 gives 0.

pub(crate) mod cases;
mod cpu;
mod definition;
mod gpu;
pub(crate) mod philox;
#[cfg(test)]
mod tests;

pub use philox::philox;

use crate::DType;
use crate::definition::{Array, Defined};
use crate::device::Gpu;
use crate::error::{Error, Result};
use crate::operation::{Context, Forward, Operation, Saves};
use crate::tape::{Var, apply_one};
use crate::tensor::{Spec, Tensor};

const NAME: &str = "dropout";

/// Sets elements to 0 at random.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dropout {
    /// p, with which an element becomes 0: 0 to 1.
    pub probability: f64,
    /// What the mask follows from.
    pub seed: u64,
}

/// `x` with elements set to 0 with this probability and the others divided by one minus it. The same seed drops the same
/// elements.
///
/// # Errors
/// A probability that is not in 0 ..= 1; a type other than f32 and f64.
pub fn dropout(x: &Var, probability: f64, seed: u64) -> Result<Var> {
    apply_one(Dropout { probability, seed }, &[x])
}

impl Dropout {
    /// Words below this drop their element: ⌊p · 2³² + ½⌋.
    fn threshold(self) -> u64 {
        (self.probability * 4_294_967_296.0).round() as u64
    }

    /// What elements that stay are multiplied by.
    fn scale(self) -> f64 {
        if self.probability < 1.0 { 1.0 / (1.0 - self.probability) } else { 0.0 }
    }

    /// The seed as Philox's key.
    fn key(self) -> [u32; 2] {
        [self.seed as u32, (self.seed >> 32) as u32]
    }

    /// Which of the four elements from 4 · `counter` on are dropped.
    #[inline(always)]
    fn dropped(self, counter: u64) -> [bool; 4] {
        let (key, threshold) = (self.key(), self.threshold());
        philox([counter as u32, (counter >> 32) as u32, 0, 0], key).map(|word| u64::from(word) < threshold)
    }
}

impl Forward for Dropout {
    fn name(&self) -> &'static str {
        NAME
    }

    fn outputs(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        let [x] = inputs else {
            return Err(Error::shape(NAME, format!("takes one input, got {}", inputs.len())));
        };
        if !matches!(x.dtype, DType::F32 | DType::F64) {
            return Err(Error::dtype(NAME, format!("takes f32 or f64, got {}", x.dtype)));
        }
        if !(0.0..=1.0).contains(&self.probability) {
            return Err(Error::shape(NAME, format!("the probability must be in 0 ..= 1, it is {}", self.probability)));
        }
        Ok(vec![*x])
    }

    fn forward_cpu(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        Ok(vec![cpu::masked(*self, inputs[0])?])
    }

    fn forward_gpu(&self, gpu: &Gpu, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        Ok(vec![gpu::masked(*self, gpu, inputs[0])?])
    }

    fn definition(&self, inputs: &[Array]) -> Vec<Defined> {
        definition::define(*self, &inputs[0])
    }
}

impl Operation for Dropout {
    fn saves(&self) -> Saves {
        Saves::default()
    }

    fn backward_cpu(&self, context: &Context) -> Result<Vec<Option<Tensor>>> {
        Ok(vec![Some(cpu::masked(*self, context.d_output(0)?)?)])
    }

    fn backward_gpu(&self, gpu: &Gpu, context: &Context) -> Result<Vec<Option<Tensor>>> {
        Ok(vec![Some(gpu::masked(*self, gpu, context.d_output(0)?)?)])
    }
}
