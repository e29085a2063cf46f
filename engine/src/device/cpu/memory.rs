//! The CPU's memory pool.
//!
//! A training step asks for the same sizes in the same order every time. Handing back the same blocks saves the
//! system's page faults and zeroing, which would cost more than many of the operations.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use crate::dtype::Element;

/// One cache line, the unit and the alignment of every block.
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C, align(64))]
pub struct Line([u8; LINE]);

const LINE: usize = 64;
/// Blocks kept for reuse; beyond this many bytes a block goes back to the system.
const KEPT_BYTES: usize = 2 << 30;

/// Free blocks by size, and the count of bytes in use.
#[derive(Default)]
pub struct Pool {
    free: Mutex<Free>,
    in_use: AtomicUsize,
    peak: AtomicUsize,
}

#[derive(Default)]
struct Free {
    blocks: HashMap<usize, Vec<Vec<Line>>>,
    bytes: usize,
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Pool({} bytes in use)", self.in_use.load(Ordering::Relaxed))
    }
}

impl Pool {
    /// Bytes in use now, and the most there have been.
    pub fn in_use(&self) -> (usize, usize) {
        (self.in_use.load(Ordering::Relaxed), self.peak.load(Ordering::Relaxed))
    }

    /// A block for `count` elements. Its content is whatever its last user left: fill all of it.
    pub fn take<T: Element>(self: &Arc<Self>, count: usize) -> Block {
        let lines = (count * size_of::<T>()).div_ceil(LINE);
        let bytes = lines * LINE;
        let reused = {
            let mut free = self.free.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            let block = free.blocks.get_mut(&lines).and_then(Vec::pop);
            if block.is_some() {
                free.bytes -= bytes;
            }
            block
        };
        let in_use = self.in_use.fetch_add(bytes, Ordering::Relaxed) + bytes;
        self.peak.fetch_max(in_use, Ordering::Relaxed);
        let lines = reused.unwrap_or_else(|| bytemuck::zeroed_vec(lines));
        Block { lines, pool: self.clone() }
    }
}

/// A block of memory that goes back to its pool when dropped.
pub struct Block {
    lines: Vec<Line>,
    pool: Arc<Pool>,
}

impl Block {
    /// Everything, as bytes.
    pub fn bytes(&self) -> &[u8] {
        bytemuck::cast_slice(&self.lines)
    }

    /// Everything, as bytes to write.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        bytemuck::cast_slice_mut(&mut self.lines)
    }

    /// The first `count` elements.
    pub fn as_slice<T: Element>(&self, count: usize) -> &[T] {
        &bytemuck::cast_slice(&self.lines)[..count]
    }

    /// The first `count` elements, to write.
    pub fn as_mut_slice<T: Element>(&mut self, count: usize) -> &mut [T] {
        &mut bytemuck::cast_slice_mut(&mut self.lines)[..count]
    }
}

impl std::fmt::Debug for Block {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Block({} bytes)", self.lines.len() * LINE)
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        let bytes = self.lines.len() * LINE;
        self.pool.in_use.fetch_sub(bytes, Ordering::Relaxed);
        let mut free = self.pool.free.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if free.bytes + bytes <= KEPT_BYTES {
            free.bytes += bytes;
            let lines = std::mem::take(&mut self.lines);
            free.blocks.entry(lines.len()).or_default().push(lines);
        }
    }
}
