//! The fault record: four words on the device into which kernels write what the host could not check beforehand, an index
//! out of range. Every read-back fetches it beside the data, so that such an index is an error and never a wrong number.

use std::sync::Mutex;

use super::{Gpu, GpuBuffer, lock};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::tensor::{Spec, Tensor};

/// Words: operation (0: nothing happened), index, limit, and a flag for the first to report.
pub(super) const WORDS: usize = 4;
pub(super) const BYTES: u64 = 4 * WORDS as u64;

/// The record, and the operations that may write to it by their codes, from 1 on.
pub(crate) struct Faults {
    pub(super) raw: wgpu::Buffer,
    pub(super) id: u64,
    operations: Mutex<Vec<&'static str>>,
}

impl Faults {
    pub(super) fn new(device: &wgpu::Device, id: u64) -> Self {
        let raw = device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("faults"),
            size: BYTES,
            usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        Self { raw, id, operations: Mutex::default() }
    }
}

impl Gpu {
    /// The fault record, to be bound as the last `read_write` buffer of a kernel that calls `report_index`.
    ///
    /// # Errors
    /// None; a `Result` as for any other tensor.
    pub fn faults(&self) -> Result<Tensor> {
        let faults = &self.0.faults;
        Tensor::borrowed(self, Spec::new(&[WORDS], DType::U32)?, GpuBuffer::foreign(faults.raw.clone(), faults.id))
    }

    /// The number by which kernels name an operation in the fault record.
    pub fn fault_code(&self, operation: &'static str) -> u32 {
        let mut operations = lock(&self.0.faults.operations);
        let place = operations.iter().position(|known| *known == operation).unwrap_or_else(|| {
            operations.push(operation);
            operations.len() - 1
        });
        place as u32 + 1
    }

    /// Whether any kernel that may report a fault has been prepared.
    pub(super) fn may_fault(&self) -> bool {
        !lock(&self.0.faults.operations).is_empty()
    }

    /// What a fetched record says; it is emptied, so that an error is reported once.
    pub(super) fn examine_faults(&self, words: &[u32]) -> Result<()> {
        let &[code, index, limit, ..] = words else { return Ok(()) };
        let Some(place) = code.checked_sub(1) else { return Ok(()) };
        let operation = lock(&self.0.faults.operations).get(place as usize).copied().unwrap_or("a kernel");
        lock(&self.0.recorder).clear(&self.0.faults.raw);
        Err(Error::Index { operation, message: format!("index {index} is not below {limit}") })
    }
}
