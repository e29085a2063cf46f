use super::{Mlstm, Sizes};
use crate::device::Gpu;
use crate::error::{Error, Result};
use crate::tensor::Tensor;
pub(super) fn forward(_: &Mlstm, _: &Gpu, _: &[&Tensor]) -> Result<Vec<Tensor>> {
    Err(Error::device("mlstm", "no kernels"))
}
pub(super) fn step(_: &Gpu, _: Sizes, _: f64, _: [&Tensor; 8]) -> Result<[Tensor; 4]> {
    Err(Error::device("mlstm", "no kernels"))
}
