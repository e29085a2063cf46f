//! The kernels of a step as operations for the checks: inputs are copied, since a step writes in place, and each has its
//! definition in f64. They have no gradient and run on a GPU alone.

mod attention;
mod embed;
mod mlstm;
mod product;

pub(crate) use attention::{draw_attention, draw_rotate};
pub(crate) use embed::draw as draw_embed;
pub(crate) use mlstm::draw as draw_mlstm;
pub(crate) use product::draw as draw_product;

use super::NAME;
use crate::device::Gpu;
use crate::error::{Error, Result};
use crate::tensor::{Tensor, copy_range};

/// A tensor of its own with the same numbers, to be written in place.
fn copied(gpu: &Gpu, from: &Tensor) -> Result<Tensor> {
    let mut copy = Tensor::on_gpu(gpu, NAME, from.sizes(), from.dtype())?;
    copy_range(&mut copy, 0, from, 0, from.elements())?;
    Ok(copy)
}

fn on_the_cpu<T>(name: &'static str) -> Result<T> {
    Err(Error::device(name, "steps over f16 weights run on a GPU"))
}

fn wrong_inputs(name: &'static str, count: usize) -> Error {
    Error::shape(name, format!("takes another number of inputs than {count}"))
}
