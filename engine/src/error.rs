//! What can go wrong in the engine, said so that the reader knows what to change.

/// The engine's result.
pub type Result<T> = std::result::Result<T, Error>;

/// Every failure of the engine. Each message names the operation and the shapes, types or limits.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// Shapes that do not fit together, or a size out of range.
    #[error("{operation}: {message}")]
    Shape {
        /// The operation that refused its inputs.
        operation: &'static str,
        /// Every shape involved and what was expected.
        message: String,
    },
    /// A data type that an operation does not have.
    #[error("{operation}: {message}")]
    DType {
        /// The operation that refused its inputs.
        operation: &'static str,
        /// The types given and the types it takes.
        message: String,
    },
    /// Tensors of different devices, or an operation that a device does not have.
    #[error("{operation}: {message}")]
    Device {
        /// The operation that refused its inputs.
        operation: &'static str,
        /// The devices involved.
        message: String,
    },
    /// An index out of range: at once on the CPU, on a GPU at the next read-back.
    #[error("{operation}: {message}")]
    Index {
        /// The operation that was given the index.
        operation: &'static str,
        /// The index and its limit.
        message: String,
    },
    /// A check that an operation does not pass.
    #[error("{operation}: {message}")]
    Check {
        /// The operation.
        operation: &'static str,
        /// What is wrong, and in which case.
        message: String,
    },
    /// A size over what the device allows.
    #[error("{operation}: {message}")]
    Limit {
        /// The operation that needs more than there is.
        operation: &'static str,
        /// The limit, what was needed, and what would work.
        message: String,
    },
    /// A tape was used after its backward, or values of two tapes were mixed.
    #[error("tape: {0}")]
    Tape(String),
    /// No adapter of the kind that was asked for.
    #[error("no GPU: {0}")]
    NoAdapter(String),
    /// A kernel that does not compile or does not match its declared bindings.
    #[error("kernel {kernel}: {message}")]
    Kernel {
        /// The kernel's name.
        kernel: String,
        /// The compiler's message, with the WGSL line.
        message: String,
    },
    /// The device has no room for an allocation.
    #[error("out of device memory: {0}")]
    OutOfMemory(String),
    /// The device is gone: unplugged, reset by its driver, or destroyed.
    #[error("the device was lost: {0}")]
    DeviceLost(String),
    /// Any other error that the GPU's driver reported.
    #[error("GPU: {0}")]
    Gpu(String),
}

impl Error {
    /// A shape error of `operation`.
    pub fn shape(operation: &'static str, message: impl Into<String>) -> Self {
        Self::Shape { operation, message: message.into() }
    }

    /// A data-type error of `operation`.
    pub fn dtype(operation: &'static str, message: impl Into<String>) -> Self {
        Self::DType { operation, message: message.into() }
    }

    /// A device error of `operation`.
    pub fn device(operation: &'static str, message: impl Into<String>) -> Self {
        Self::Device { operation, message: message.into() }
    }

    /// An index error of `operation`.
    pub fn index(operation: &'static str, message: impl Into<String>) -> Self {
        Self::Index { operation, message: message.into() }
    }

    /// A limit error of `operation`.
    pub fn limit(operation: &'static str, message: impl Into<String>) -> Self {
        Self::Limit { operation, message: message.into() }
    }
}
