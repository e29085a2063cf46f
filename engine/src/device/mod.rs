//! Where tensors live and operations run.

pub mod cpu;
pub mod gpu;

pub use cpu::Cpu;
pub use gpu::Gpu;

use crate::error::Result;

/// The CPU or a GPU. Cheap to clone; clones are the same device.
#[derive(Debug, Clone)]
pub enum Device {
    /// The processor, all its threads.
    Cpu(Cpu),
    /// A GPU through Vulkan, Metal or DX12.
    Gpu(Gpu),
}

impl Device {
    /// The CPU, with a pool of memory of its own.
    pub fn cpu() -> Self {
        Self::Cpu(Cpu::default())
    }

    /// GPU number `index` of `gpu::adapter::list()`.
    ///
    /// # Errors
    /// [`crate::Error::NoAdapter`] if there is none, or it cannot be opened.
    pub fn gpu(index: usize) -> Result<Self> {
        gpu::adapter::open(index, gpu::Options::from_environment()).map(Self::Gpu)
    }

    /// The first real GPU, else the CPU; and the reason, for the user. A software adapter is never picked: our CPU code
    /// is faster than a GPU driver that runs on the CPU.
    pub fn auto() -> (Self, String) {
        Self::auto_with(gpu::Options::from_environment())
    }

    /// [`Device::auto`] with a GPU opened so.
    pub fn auto_with(options: gpu::Options) -> (Self, String) {
        match gpu::adapter::open_real(options) {
            Ok((gpu, count)) => (Self::Gpu(gpu), format!("the first of {count} adapters that is a real GPU")),
            Err(reason) => (Self::cpu(), reason),
        }
    }

    /// The product's name.
    pub fn name(&self) -> String {
        match self {
            Self::Cpu(_) => format!("CPU, {} threads", rayon::current_num_threads()),
            Self::Gpu(gpu) => format!("{} ({})", gpu.report().name, gpu.report().backend),
        }
    }

    /// The product's name, and its driver's where it has one.
    pub fn description(&self) -> String {
        match self {
            Self::Cpu(_) => self.name(),
            Self::Gpu(gpu) => format!("{}, {}", self.name(), gpu.report().driver),
        }
    }

    /// Whether this is a GPU.
    pub fn is_gpu(&self) -> bool {
        matches!(self, Self::Gpu(_))
    }

    /// Waits until everything recorded is done.
    ///
    /// # Errors
    /// Whatever fault the GPU's driver reported.
    pub fn synchronize(&self) -> Result<()> {
        match self {
            Self::Cpu(_) => Ok(()),
            Self::Gpu(gpu) => gpu.synchronize(),
        }
    }

    /// Bytes of tensors alive now, and the most there have been.
    pub fn memory(&self) -> (u64, u64) {
        match self {
            Self::Cpu(cpu) => {
                let (in_use, peak) = cpu.memory();
                (in_use as u64, peak as u64)
            }
            Self::Gpu(gpu) => (gpu.memory().in_use, gpu.memory().peak),
        }
    }
}

impl PartialEq for Device {
    /// All CPU handles are the same device; GPU handles are if they are clones of one.
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Cpu(_), Self::Cpu(_)) => true,
            (Self::Gpu(left), Self::Gpu(right)) => left == right,
            _ => false,
        }
    }
}
