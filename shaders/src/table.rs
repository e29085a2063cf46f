//! The table of all programs, one module an operation.

use crate::Access::{Read, ReadWrite};
use crate::{File, Kernel};

macro_rules! file {
    ($path:literal) => {
        File { path: $path, text: include_str!(concat!("../", $path)) }
    };
}

const INDEX: File = file!("prelude/index.wgsl");

/// Arithmetic with broadcasting, and the sum that is broadcasting's gradient.
pub mod arithmetic {
    use super::*;

    const BINARY: File = file!("elementwise/binary.wgsl");

    const fn binary(name: &'static str, files: &'static [File]) -> Kernel {
        Kernel { name, files, bindings: &[Read, Read, ReadWrite], variants: &[&[]] }
    }

    /// a + b
    pub static ADD: Kernel = binary("arithmetic/add", &[INDEX, file!("elementwise/add.wgsl"), BINARY]);
    /// a − b
    pub static SUBTRACT: Kernel = binary("arithmetic/subtract", &[INDEX, file!("elementwise/subtract.wgsl"), BINARY]);
    /// a · b
    pub static MULTIPLY: Kernel = binary("arithmetic/multiply", &[INDEX, file!("elementwise/multiply.wgsl"), BINARY]);
    /// a / b
    pub static DIVIDE: Kernel = binary("arithmetic/divide", &[INDEX, file!("elementwise/divide.wgsl"), BINARY]);
    /// The sum over repeated dimensions.
    pub static SUM_TO: Kernel = Kernel {
        name: "arithmetic/sum_to",
        files: &[INDEX, file!("elementwise/sum_to.wgsl")],
        bindings: &[Read, ReadWrite],
        variants: &[&[]],
    };
    pub(super) const ALL: &[&Kernel] = &[&ADD, &SUBTRACT, &MULTIPLY, &DIVIDE, &SUM_TO];
}

/// Rotary position embedding.
pub mod rotary {
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
}

/// Every program by operation, for the tests that translate and lint them all.
pub const ALL: &[&[&Kernel]] = &[arithmetic::ALL, rotary::ALL];
