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

/// Rows of a table by index, and the sum over equal indices that is its gradient.
pub mod embedding {
    use super::*;

    const fn kernel(name: &'static str, files: &'static [File], bindings: &'static [crate::Access]) -> Kernel {
        Kernel { name, files, bindings, variants: &[&[]] }
    }

    /// y = table[ids]
    pub static FORWARD: Kernel =
        kernel("embedding/forward", &[INDEX, file!("embedding/forward.wgsl")], &[Read, Read, ReadWrite]);
    /// Positions sorted by id.
    pub static RANK: Kernel = kernel("embedding/rank", &[INDEX, file!("embedding/rank.wgsl")], &[Read, ReadWrite]);
    /// Where each id starts in sorted order.
    pub static STARTS: Kernel =
        kernel("embedding/starts", &[INDEX, file!("embedding/starts.wgsl")], &[Read, ReadWrite]);
    /// The sum over equal ids.
    pub static BACKWARD: Kernel = Kernel {
        variants: &[&[("SPLITS", 2)], &[("SPLITS", 8)]],
        ..kernel("embedding/backward", &[INDEX, file!("embedding/backward.wgsl")], &[Read, Read, Read, ReadWrite])
    };
    pub(super) const ALL: &[&Kernel] = &[&FORWARD, &RANK, &STARTS, &BACKWARD];
}

/// Every program by operation, for the tests that translate and lint them all.
pub const ALL: &[&[&Kernel]] = &[arithmetic::ALL, embedding::ALL];
