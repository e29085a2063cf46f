use super::Mlstm;
use crate::device::Gpu;
use crate::error::{Error, Result};
use crate::operation::Context;
use crate::tensor::Tensor;
pub(super) fn backward(_: &Mlstm, _: &Gpu, _: &Context) -> Result<Vec<Option<Tensor>>> {
    Err(Error::device("mlstm", "no kernels"))
}
