//! Attention on a GPU.

use super::Saved;
use super::sizes::Sizes;
use crate::device::Gpu;
use crate::error::{Error, Result};
use crate::tensor::Tensor;
pub(super) fn forward(_: &Sizes, _: &Gpu, _: &[&Tensor]) -> Result<Vec<Tensor>> {
    Err(Error::device("attention", "has no kernels yet; move the tensors to the CPU"))
}
pub(super) fn backward(_: &Sizes, _: &Gpu, _: &Saved, _: &[bool]) -> Result<Vec<Option<Tensor>>> {
    Err(Error::device("attention", "has no kernels yet; move the tensors to the CPU"))
}
