//! Copies between host and device.
//!
//! Uploads are copies from staging buffers, recorded in order with the kernels: `queue.write_buffer` would run before
//! work that is recorded already and still reads the old content.

use super::submit::Ticket;
use super::{Cost, Gpu, faults, lock};
use crate::error::{Error, Result};
use crate::tensor::Spec;

/// A read-back that has been submitted; the device fills it while the host goes on.
pub struct Pending {
    gpu: Gpu,
    staging: wgpu::Buffer,
    ticket: Ticket,
    bytes: u64,
    /// Where the fault record is.
    faults: u64,
    /// What the device has been given up to here.
    cost: Cost,
}

impl Pending {
    /// Waits for the bytes.
    ///
    /// # Errors
    /// Whatever fault the driver reported, a lost device among them, or a kernel, such as an index out of range.
    pub fn wait(self) -> Result<Vec<u8>> {
        let submission_index = self.gpu.0.submitter.submitted(&self.ticket);
        let slice = self.staging.slice(..);
        let (sender, receiver) = std::sync::mpsc::channel();
        slice.map_async(wgpu::MapMode::Read, move |result| {
            // Nobody listens only if the wait below failed, which is reported there.
            let _ = sender.send(result);
        });
        let polled = self.gpu.0.device.poll(wgpu::PollType::Wait { submission_index, timeout: None });
        lock(&self.gpu.0.recorder).done(self.cost);
        self.gpu.fault()?;
        polled.map_err(|error| Error::Gpu(error.to_string()))?;
        // Another thread's poll may be the one that runs the callback, a moment after ours returns.
        match receiver.recv_timeout(std::time::Duration::from_secs(60)) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(Error::Gpu(error.to_string())),
            Err(_) => return Err(Error::DeviceLost("a read-back was never answered".into())),
        }
        let view = slice.get_mapped_range().map_err(|error| Error::Gpu(error.to_string()))?;
        let words: Vec<u32> = bytemuck::pod_collect_to_vec(&view[self.faults as usize..][..faults::BYTES as usize]);
        self.gpu.examine_faults(&words)?;
        Ok(view[..self.bytes as usize].to_vec())
    }
}

impl Gpu {
    /// Records a copy of `content` into a buffer.
    pub(super) fn write(&self, buffer: &wgpu::Buffer, offset: u64, content: &[u8]) -> Result<()> {
        if content.is_empty() {
            return Ok(());
        }
        let size = (content.len() as u64).next_multiple_of(4);
        let staging = self.0.device.create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size,
            usage: wgpu::BufferUsages::COPY_SRC,
            mapped_at_creation: true,
        });
        {
            let mut view = staging
                .slice(..)
                .get_mapped_range_mut()
                // A device that is gone maps nothing either, and has said so.
                .map_err(|error| {
                    self.fault()
                        .err()
                        .unwrap_or_else(|| Error::OutOfMemory(format!("no staging memory for {size} bytes: {error}")))
                })?;
            view.slice(..content.len()).copy_from_slice(content);
        }
        staging.unmap();
        lock(&self.0.recorder).copy((&staging, 0), (buffer, offset), size);
        self.fault()
    }

    /// Records a copy from one buffer to another, in bytes that are multiples of four.
    pub(crate) fn copy(&self, source: (&wgpu::Buffer, u64), target: (&wgpu::Buffer, u64), bytes: u64) {
        if bytes > 0 {
            lock(&self.0.recorder).copy(source, target, bytes);
        }
    }

    /// Submits everything recorded and a copy of `bytes` of a buffer to the host.
    pub(super) fn read(&self, buffer: &wgpu::Buffer, bytes: u64) -> Result<Pending> {
        let part = (buffer, 0, bytes.next_multiple_of(4));
        let pending = self.read_parts(if bytes == 0 { &[] } else { std::slice::from_ref(&part) })?;
        Ok(Pending { bytes, ..pending })
    }

    /// Submits everything recorded and copies of parts of buffers, one behind the other, to the host: each from an offset on,
    /// in bytes that are multiples of four.
    pub(super) fn read_parts(&self, parts: &[(&wgpu::Buffer, u64, u64)]) -> Result<Pending> {
        self.fault()?;
        let size = parts.iter().map(|(_, _, bytes)| bytes).sum();
        let staging = self.0.device.create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size: size + faults::BYTES,
            usage: wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::MAP_READ,
            mapped_at_creation: false,
        });
        let mut recorder = lock(&self.0.recorder);
        let mut place = 0;
        for &(buffer, offset, bytes) in parts {
            recorder.copy((buffer, offset), (&staging, place), bytes);
            place += bytes;
        }
        recorder.copy((&self.0.faults.raw, 0), (&staging, size), faults::BYTES);
        let ticket = self.submit(&mut recorder);
        let cost = recorder.submitted();
        drop(recorder);
        Ok(Pending { gpu: self.clone(), staging, ticket, bytes: size, faults: size, cost })
    }

    /// Submits everything recorded and a copy of a tensor's buffer to the host.
    pub(crate) fn read_buffer(&self, buffer: &super::GpuBuffer, bytes: u64) -> Result<Pending> {
        self.read(&buffer.raw, bytes)
    }

    /// Allocates a buffer and records an upload of `content` into it.
    pub(crate) fn upload(&self, operation: &'static str, spec: &Spec, content: &[u8]) -> Result<super::GpuBuffer> {
        let buffer = self.allocate(operation, spec)?;
        self.write(&buffer.raw, 0, content)?;
        Ok(buffer)
    }

    /// Records that a tensor's buffer is filled with zeros, of which none come from the host. A guard band stays as it is.
    pub(crate) fn zero(&self, buffer: &super::GpuBuffer, spec: &Spec) -> Result<()> {
        if self.0.options.guard_bands {
            return self.write(&buffer.raw, 0, &vec![0; spec.bytes()]);
        }
        lock(&self.0.recorder).clear(&buffer.raw);
        Ok(())
    }

    /// Records an upload into a buffer that exists.
    pub(crate) fn overwrite(&self, buffer: &super::GpuBuffer, offset: u64, content: &[u8]) -> Result<()> {
        self.write(&buffer.raw, offset, content)
    }
}
