//! Tensors, devices, reverse-mode automatic differentiation and the operations of language models, on the CPU and on any
//! GPU through handwritten WGSL.
//!
//! Read in this order: [`tensor`] (what is computed on), [`device`] (where), [`operation`] (what an operation is),
//! [`tape`] (how gradients come about), [`ops`] (the operations, a folder each), [`check`] (how they are checked).

pub mod check;
pub mod definition;
pub mod device;
mod dtype;
mod error;
pub mod operation;
pub mod ops;
mod shape;
pub mod tape;
pub mod tensor;

/// What kernels are described by, ours and users'.
pub use gradus_shaders as shaders;

pub use device::Device;
pub use dtype::{DType, Element, Precision};
pub use error::{Error, Result};
pub use shape::{MAX_DIMENSIONS, Shape};
pub use tape::{Gradients, Last, Tape, Var};
pub use tensor::{Spec, Tensor};
