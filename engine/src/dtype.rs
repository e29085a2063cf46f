//! The types of numbers that a tensor holds.

use bytemuck::Pod;
use half::f16;

/// The type of a tensor's elements.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum DType {
    /// 32-bit floats: the type that everything computes in by default.
    F32,
    /// 64-bit floats, on the CPU only: for checks.
    F64,
    /// 16-bit floats: storage, and operands of products on a GPU that has them.
    F16,
    /// Unsigned 32-bit integers: token ids and other indices.
    U32,
}

impl DType {
    /// Bytes of one element.
    pub fn bytes(self) -> usize {
        match self {
            Self::F32 | Self::U32 => 4,
            Self::F64 => 8,
            Self::F16 => 2,
        }
    }

    /// The name used in messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F64 => "f64",
            Self::F16 => "f16",
            Self::U32 => "u32",
        }
    }
}

/// The type that an operation of mixed precision gives its result in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Precision {
    /// The type it computes in.
    #[default]
    Full,
    /// f16 on a GPU. On the CPU, where f16 is storage only, the type it computes in.
    Half,
}

impl Precision {
    /// The type of the result by the shape rule, which knows no device: f16 stands for f32 on the CPU. A definition in f64
    /// stays in f64.
    pub fn of(self, computed: DType) -> DType {
        match (self, computed) {
            (Self::Half, DType::F32) => DType::F16,
            (_, computed) => computed,
        }
    }
}

impl std::fmt::Debug for DType {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.name())
    }
}

impl std::fmt::Display for DType {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.name())
    }
}

/// A Rust type that a tensor can hold.
pub trait Element: Pod + Default + Send + Sync + std::fmt::Debug + PartialEq {
    /// The tensor type of this Rust type.
    const DTYPE: DType;
}

impl Element for f32 {
    const DTYPE: DType = DType::F32;
}
impl Element for f64 {
    const DTYPE: DType = DType::F64;
}
impl Element for f16 {
    const DTYPE: DType = DType::F16;
}
impl Element for u32 {
    const DTYPE: DType = DType::U32;
}
