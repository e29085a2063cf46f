//! The pool of device buffers.
//!
//! A step asks for the same sizes in the same order each time, and of the free buffers of a size the oldest is handed out.
//! So which buffers a step gets follows from which are free when it starts, and not from the order in which the step before
//! gave them back: every step gets the same ones, bind groups are found in their cache, and memory stays flat. (A stack of
//! free buffers comes back in another order after each step, and hardly any bind group was ever found.) Reuse needs no
//! waiting, since one queue runs everything in the order in which it was recorded.

use std::cmp::{Ordering, Reverse};
use std::collections::{BinaryHeap, HashMap};
use std::sync::{Arc, Weak};

use super::{Gpu, Memory, Shared, faults, lock};
use crate::error::{Error, Result};
use crate::tensor::Spec;

/// Bytes of NaN behind each tensor when guard bands are on.
pub(super) const GUARD_BYTES: u64 = 1024;
/// The guard's content: a quiet NaN whose payload is the buffer's own number. Were it the same for all, a kernel that goes
/// too far in its input and in its output would copy one band's NaN onto another's, and nobody would see it.
fn guard_word(id: u64) -> u32 {
    0x7fc0_0000 | (id as u32 & 0x001f_ffff) << 1 | 1
}

/// A buffer that nobody uses, ordered by its number: the lower, the older.
struct Free {
    id: u64,
    raw: wgpu::Buffer,
}

impl PartialEq for Free {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for Free {}

impl PartialOrd for Free {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Free {
    fn cmp(&self, other: &Self) -> Ordering {
        self.id.cmp(&other.id)
    }
}

/// Free buffers by size, the oldest first, and what has been handed out.
#[derive(Default)]
pub(crate) struct Pool {
    free: HashMap<u64, BinaryHeap<Reverse<Free>>>,
    memory: Memory,
    next_id: u64,
    /// With guard bands on: every buffer whose band is still to be verified, with its number and its tensor's bytes.
    guarded: Vec<(wgpu::Buffer, u64, u64)>,
}

impl Pool {
    pub(super) fn memory(&self) -> Memory {
        self.memory
    }

    /// A number that no buffer had before, for the cache of bind groups.
    pub(super) fn fresh_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }
}

/// A buffer of the pool; it goes back when dropped.
pub(crate) struct GpuBuffer {
    pub raw: wgpu::Buffer,
    pub id: u64,
    owner: Weak<Shared>,
}

impl GpuBuffer {
    /// A buffer that is no pool's.
    pub(super) fn foreign(raw: wgpu::Buffer, id: u64) -> Self {
        Self { raw, id, owner: Weak::new() }
    }
}

impl Drop for GpuBuffer {
    fn drop(&mut self) {
        let Some(shared) = self.owner.upgrade() else { return };
        let size = self.raw.size();
        let mut pool = lock(&shared.pool);
        pool.memory.in_use -= size;
        if !shared.options.guard_bands {
            pool.free.entry(size).or_default().push(Reverse(Free { id: self.id, raw: self.raw.clone() }));
        }
    }
}

fn listed(sizes: &[usize]) -> String {
    sizes.iter().map(usize::to_string).collect::<Vec<_>>().join(", ")
}

/// Sizes are rounded up a little, so that tensors of nearly the same size share buffers.
fn size_class(bytes: u64) -> u64 {
    let step = (bytes.next_power_of_two() / 32).max(256);
    bytes.max(1).next_multiple_of(step)
}

impl Gpu {
    /// The most bytes that a tensor may have: what one binding may have, and what one buffer may beside the fault record that
    /// comes with every read-back.
    pub(crate) fn most_bytes(&self) -> u64 {
        let limits = &self.0.report.limits;
        limits.max_buffer_size.saturating_sub(faults::BYTES).min(limits.max_storage_buffer_binding_size)
    }

    /// A buffer for a tensor, with whatever its last user left in it.
    ///
    /// # Errors
    /// [`Error::Limit`] over what one binding or buffer may have; [`Error::OutOfMemory`] if the driver has no more.
    pub(crate) fn allocate(&self, operation: &'static str, spec: &Spec) -> Result<GpuBuffer> {
        let most = self.most_bytes();
        let bytes = (spec.bytes() as u64).next_multiple_of(4);
        let guard = if self.0.options.guard_bands { GUARD_BYTES } else { 0 };
        let size = size_class(bytes + guard).min(most);
        if bytes + guard > most {
            return Err(Error::limit(operation, self.too_large(spec, most.saturating_sub(guard))));
        }
        let reused = {
            let mut pool = lock(&self.0.pool);
            let reused = pool.free.get_mut(&size).and_then(BinaryHeap::pop);
            if reused.is_some() {
                pool.memory.in_use += size;
                pool.memory.peak = pool.memory.peak.max(pool.memory.in_use);
            }
            reused
        };
        let (raw, id) = match reused {
            Some(Reverse(Free { id, raw })) => (raw, id),
            None => match self.create(size) {
                Ok(made) => made,
                // Free buffers of other sizes may be in the way.
                Err(_) => {
                    self.trim()?;
                    self.create(size)?
                }
            },
        };
        let buffer = GpuBuffer { raw, id, owner: Arc::downgrade(&self.0) };
        if guard > 0 {
            let words = vec![guard_word(id); (size / 4) as usize];
            self.write(&buffer.raw, 0, bytemuck::cast_slice(&words))?;
            lock(&self.0.pool).guarded.push((buffer.raw.clone(), id, bytes));
        }
        Ok(buffer)
    }

    /// What is said of a tensor that takes more than the `most` bytes that one may have.
    fn too_large(&self, spec: &Spec, most: u64) -> String {
        let limits = &self.0.report.limits;
        let limit = match limits.max_storage_buffer_binding_size < limits.max_buffer_size {
            true => "max_storage_buffer_binding_size",
            false => "max_buffer_size",
        };
        let fitting = most / spec.dtype.bytes() as u64;
        // Most shapes grow with their first size: a batch, a vocabulary, the rows of a matrix.
        let works = match spec.shape.sizes() {
            [_, rest @ ..] if !rest.is_empty() => {
                let row: u64 = rest.iter().map(|&size| size as u64).product();
                match fitting.checked_div(row) {
                    Some(first @ 1..) => format!("the largest of such rows that works is [{first}, {}]", listed(rest)),
                    _ => format!("at most {fitting} elements work"),
                }
            }
            _ => format!("the largest that works is [{fitting}]"),
        };
        format!(
            "a tensor {:?} of {} takes {} bytes, over the {most} that one buffer of {} may have ({limit}); {works}",
            spec.shape,
            spec.dtype,
            spec.bytes(),
            self.0.report.name
        )
    }

    fn create(&self, size: u64) -> Result<(wgpu::Buffer, u64)> {
        let scope = self.0.device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let raw = self.0.device.create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size,
            usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        let failed = pollster::block_on(scope.pop()).is_some();
        let mut pool = lock(&self.0.pool);
        if failed {
            let held = pool.memory;
            return Err(Error::OutOfMemory(format!(
                "{size} bytes more were needed beside {} in use on {}; use a smaller batch or context",
                held.in_use, self.0.report.name
            )));
        }
        pool.memory.in_use += size;
        pool.memory.reserved += size;
        pool.memory.peak = pool.memory.peak.max(pool.memory.in_use);
        let id = pool.fresh_id();
        Ok((raw, id))
    }

    /// Gives free buffers back to the driver, once the work that may still use them is done.
    pub fn trim(&self) -> Result<()> {
        self.drain()?;
        super::lock(&self.0.recorder).forget_bind_groups();
        let mut pool = lock(&self.0.pool);
        let freed: u64 = pool.free.drain().map(|(size, buffers)| size * buffers.len() as u64).sum();
        pool.memory.reserved -= freed;
        drop(pool);
        self.drain()
    }

    /// Starts the count of the peak anew.
    pub fn reset_peak(&self) {
        let mut pool = lock(&self.0.pool);
        pool.memory.peak = pool.memory.in_use;
    }

    /// With guard bands on: whether every band since the last call is as it was laid.
    ///
    /// # Errors
    /// Any failure of the read-back; [`Error::Gpu`] that says how many words a kernel overwrote.
    pub fn verify_guards(&self) -> Result<()> {
        let guarded = std::mem::take(&mut lock(&self.0.pool).guarded);
        // All bands come back in one read.
        let bands: Vec<_> = guarded.iter().map(|(raw, _, bytes)| (raw, *bytes, raw.size() - bytes)).collect();
        let content: Vec<u32> = bytemuck::pod_collect_to_vec(&self.read_parts(&bands)?.wait()?);
        let mut rest = content.as_slice();
        for (raw, id, bytes) in &guarded {
            let (band, others) = rest.split_at(((raw.size() - bytes) / 4) as usize);
            rest = others;
            let broken = band.iter().filter(|&&word| word != guard_word(*id)).count();
            if broken > 0 {
                let first = band.iter().position(|&word| word != guard_word(*id)).unwrap_or(0);
                return Err(Error::Gpu(format!(
                    "a kernel wrote {broken} words behind a tensor of {bytes} bytes, the first {} bytes after its end",
                    first * 4
                )));
            }
        }
        Ok(())
    }
}
