//! Rotary position embedding.

use super::*;

const ROTATE: File = file!("rotary/rotate.wgsl");

const fn rotate(name: &'static str, files: &'static [File]) -> Kernel {
    Kernel { name, files, bindings: &[Read, Read, ReadWrite], variants: &[&[]] }
}

/// One pair an invocation, for any even head_dim.
pub static SCALAR: Kernel = rotate("rotary/scalar", &[INDEX, file!("rotary/scalar.wgsl"), ROTATE]);
/// Four pairs an invocation, for a head_dim that is a multiple of 8.
pub static VECTOR: Kernel = rotate("rotary/vector", &[INDEX, file!("rotary/vector.wgsl"), ROTATE]);
pub(super) const ALL: &[&Kernel] = &[&SCALAR, &VECTOR];
