//! A GPU through wgpu: adapter, buffers, kernels, recording and transfer.

pub mod adapter;
mod buffer;
mod faults;
mod heaps;
mod inspect;
mod kernel;
pub mod plan;
mod record;
mod store;
mod submit;
mod timing;
mod transfer;
mod units;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

pub use adapter::{AdapterReport, Options};
pub(crate) use buffer::GpuBuffer;
pub use plan::Cost;
pub use record::{Dispatch, Workgroups};
pub use timing::Timing;
pub use transfer::Pending;
pub(crate) use units::Units;

use crate::error::{Error, Result};

/// A GPU: an open device with its queue, its pool of buffers, its kernels and the commands recorded so far.
/// Cheap to clone; all clones are the same device, and any thread may use it.
#[derive(Clone)]
pub struct Gpu(pub(crate) Arc<Shared>);

pub(crate) struct Shared {
    pub device: wgpu::Device,
    pub report: AdapterReport,
    pub options: Options,
    pub pool: Mutex<buffer::Pool>,
    pub kernels: Mutex<kernel::Kernels>,
    pub compiler: Arc<kernel::Compiler>,
    /// Where kernels are kept for the next start.
    pub store: Option<store::Store>,
    pub recorder: Mutex<record::Recorder>,
    pub submitter: Arc<submit::Submitter>,
    pub faults: faults::Faults,
    /// Which kernels on matrix units have passed their trial.
    pub trusted: Mutex<units::Trusted>,
    /// The first error that the driver reported outside any scope.
    pub fault: Arc<Mutex<Option<Error>>>,
    pub lost: Arc<AtomicBool>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        // It may be waiting for the compiler.
        self.submitter.stop();
        self.compiler.stop();
        // A start without it is slower and else the same.
        let _ = self.keep_kernels();
    }
}

impl std::fmt::Debug for Gpu {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Gpu({})", self.0.report.name)
    }
}

impl PartialEq for Gpu {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// Locks, also after a thread panicked while it held the lock: the state behind each lock is whole between operations.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

impl Gpu {
    /// What the adapter is and offers.
    pub fn report(&self) -> &AdapterReport {
        &self.0.report
    }

    /// Bytes of tensors alive now, the most there have been, and bytes held from the driver.
    pub fn memory(&self) -> Memory {
        lock(&self.0.pool).memory()
    }

    /// Destroys the device, as a driver that resets it would. For tests of what happens then.
    pub fn destroy(&self) {
        self.0.device.destroy();
        self.0.lost.store(true, Ordering::SeqCst);
    }

    /// The first error that the driver reported since the last call.
    pub(crate) fn fault(&self) -> Result<()> {
        match lock(&self.0.fault).take() {
            Some(error) => Err(error),
            None if self.0.lost.load(Ordering::SeqCst) => {
                Err(Error::DeviceLost("it no longer answers; restart from the last checkpoint".into()))
            }
            None => Ok(()),
        }
    }
}

/// Device memory by our own accounting, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Memory {
    /// Tensors alive now.
    pub in_use: u64,
    /// The most that were alive at once.
    pub peak: u64,
    /// Taken from the driver, free buffers of the pool included.
    pub reserved: u64,
}
