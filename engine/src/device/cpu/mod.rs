//! The CPU as a device: pooled memory, fixed-block threads, vectorised functions, matrix products.

pub mod float;
pub mod gemm;
pub mod memory;
pub mod threads;

use std::sync::Arc;

/// The CPU device: its pool of memory. Threads are rayon's.
#[derive(Debug, Clone, Default)]
pub struct Cpu {
    pub(crate) pool: Arc<memory::Pool>,
}

impl Cpu {
    /// Bytes of tensors alive now, and the most there have been.
    pub fn memory(&self) -> (usize, usize) {
        self.pool.in_use()
    }
}
