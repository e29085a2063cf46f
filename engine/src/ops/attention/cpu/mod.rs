//! Attention on the CPU: blocks of query rows against all the keys they see, as products with an exact softmax between.

mod backward;
mod forward;
mod rows;

use super::Saved;
use super::documents::FirstKeys;
use super::sizes::Sizes;
use crate::device::Cpu;
use crate::device::cpu::gemm::Layout;
use crate::error::{Error, Result};
use crate::tensor::Tensor;
use crate::{DType, Device};

/// Query rows a block: enough for the products to be fast, few enough that the block's scores stay in the cache and little
/// is computed beyond the diagonal.
const BLOCK: usize = 64;

pub(super) fn forward(sizes: &Sizes, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
    match inputs[0].dtype() {
        DType::F64 => forward::forward::<f64>(sizes, &cpu(inputs[0])?, inputs),
        _ => forward::forward::<f32>(sizes, &cpu(inputs[0])?, inputs),
    }
}

pub(super) fn backward(sizes: &Sizes, saved: &Saved) -> Result<Vec<Option<Tensor>>> {
    match saved.query.dtype() {
        DType::F64 => backward::backward::<f64>(sizes, &cpu(saved.query)?, saved),
        _ => backward::backward::<f32>(sizes, &cpu(saved.query)?, saved),
    }
}

fn cpu(tensor: &Tensor) -> Result<Cpu> {
    match tensor.device() {
        Device::Cpu(cpu) => Ok(cpu),
        Device::Gpu(_) => Err(Error::device("attention", "expected CPU tensors")),
    }
}

/// Elements from one row of a block's scores to the next. Rows must not lie a power of two apart, or they would share the
/// cache's sets.
fn score_stride(keys: usize) -> usize {
    keys.next_multiple_of(16) + 16
}

impl Sizes {
    /// Where the rows of one head of the query (or output) lie from row `first` on.
    fn query_rows(&self, batch: usize, first: usize, head: usize) -> Layout {
        let row_stride = self.heads * self.head_dim;
        let offset = (batch * self.queries + first) * row_stride + head * self.head_dim;
        Layout { offset, row_stride, column_stride: 1 }
    }

    /// Where the rows of one head of the key or value lie from row `first` on.
    fn key_rows(&self, batch: usize, kv_head: usize, first: usize) -> Layout {
        let row_stride = self.kv_heads * self.head_dim;
        let offset = (batch * self.capacity + first) * row_stride + kv_head * self.head_dim;
        Layout { offset, row_stride, column_stride: 1 }
    }
}
