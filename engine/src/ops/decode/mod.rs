//! One position of generation on a GPU, over f16 weights and an f16 cache, in as few kernels as its sums allow.
//!
//! A step of one token reads every weight once and computes next to nothing with it: its time is that of reading, plus a few
//! microseconds for each kernel that waits for the one before. So what stands beside a product is done in its kernel: the norm
//! before it ([`Product::normed`]), the sum with the residual stream, SwiGLU or the soft cap behind it ([`Finish`]); matrices
//! that read the same vector are one. All arithmetic is f32; f16 is how weights, keys and values are stored, which needs no f16
//! arithmetic of the device.
//!
//! Everything is written in place, into buffers that the caller keeps: the same ones in every step, so that nothing is allocated
//! and no binding is made anew. The position is a number on the device, which [`embed`] moves on, so that the host's parameters
//! stay the same from step to step too.
//!
//! Nothing here has a gradient, and nothing runs on the CPU: there the operations that these are made of do the same.

mod attention;
pub(crate) mod cases;
mod embed;
mod mlstm;
mod product;
#[cfg(test)]
mod tests;

pub use attention::{Attention, parts_for};
pub use embed::embed;
pub use mlstm::{Mlstm, Recurrence};
pub use product::{Finish, Product};

use crate::DType;
use crate::device::{Device, Gpu};
use crate::error::{Error, Result};
use crate::tensor::Tensor;

const NAME: &str = "decode";

/// Numbers that are read at once: sizes must be multiples.
pub const PACK: usize = 8;

fn gpu_of(tensor: &Tensor) -> Result<Gpu> {
    match tensor.device() {
        Device::Gpu(gpu) => Ok(gpu),
        Device::Cpu(_) => {
            Err(Error::device(NAME, "steps over f16 weights run on a GPU; on the CPU use the f32 operations"))
        }
    }
}

/// Checks the type and the number of elements of a tensor.
fn expect(what: &str, tensor: &Tensor, dtype: DType, elements: usize) -> Result<()> {
    if tensor.dtype() != dtype || tensor.elements() != elements {
        return Err(Error::shape(NAME, format!("{what} must have {elements} elements of {dtype}, got {tensor:?}")));
    }
    Ok(())
}
