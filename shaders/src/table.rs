//! The table of all programs, one module an operation.

use crate::Access::{Read, ReadWrite};
use crate::{Constant, File, Kernel};

macro_rules! file {
    ($path:literal) => {
        File { path: $path, text: include_str!(concat!("../", $path)) }
    };
}

const INDEX: File = file!("prelude/index.wgsl");
const FLOAT: File = file!("prelude/float.wgsl");

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

/// Causal attention. Constants of the kernels that work in tiles: `TX` invocations across, `SLICES` of 4 TX columns that
/// cover head_dim, of which `SPAN`, 16 / TX at most, at a time; of single steps: `SLICES` of 64 columns.
pub mod attention {
    use super::*;

    const SIZES: File = file!("attention/sizes.wgsl");
    const TILE: File = file!("attention/tile.wgsl");
    const TILES: &[&[Constant]] = &[
        &[("TX", 8), ("SPAN", 1), ("SLICES", 1)],
        &[("TX", 8), ("SPAN", 2), ("SLICES", 2)],
        &[("TX", 8), ("SPAN", 2), ("SLICES", 4)],
        &[("TX", 16), ("SPAN", 1), ("SLICES", 3)],
        &[("TX", 16), ("SPAN", 1), ("SLICES", 4)],
    ];

    /// Output and log-sum-exp of every row.
    pub static FORWARD: Kernel = Kernel {
        name: "attention/forward",
        files: &[INDEX, FLOAT, SIZES, TILE, file!("attention/forward.wgsl")],
        bindings: &[Read, Read, Read, ReadWrite, ReadWrite],
        variants: TILES,
    };
    /// What the backward needs of every row.
    pub static TERMS: Kernel = Kernel {
        name: "attention/terms",
        files: &[INDEX, SIZES, file!("attention/terms.wgsl")],
        bindings: &[Read, Read, Read, ReadWrite],
        variants: &[&[]],
    };
    /// The gradient of the query.
    pub static BACKWARD_QUERY: Kernel = Kernel {
        name: "attention/backward_query",
        files: &[INDEX, FLOAT, SIZES, TILE, file!("attention/backward_query.wgsl")],
        bindings: &[Read, Read, Read, Read, Read, ReadWrite],
        variants: TILES,
    };
    /// The gradients of key and value.
    pub static BACKWARD_KEY: Kernel = Kernel {
        name: "attention/backward_key",
        files: &[INDEX, FLOAT, SIZES, TILE, file!("attention/backward_key.wgsl")],
        bindings: &[Read, Read, Read, Read, Read, ReadWrite, ReadWrite],
        variants: TILES,
    };
    /// A single query against a part of the keys.
    pub static STEP_PART: Kernel = Kernel {
        name: "attention/step_part",
        files: &[INDEX, FLOAT, SIZES, file!("attention/step_part.wgsl")],
        bindings: &[Read, Read, Read, ReadWrite],
        variants: &[&[("SLICES", 1)], &[("SLICES", 2)], &[("SLICES", 3)], &[("SLICES", 4)]],
    };
    /// The parts joined.
    pub static STEP_MERGE: Kernel = Kernel {
        name: "attention/step_merge",
        files: &[INDEX, FLOAT, SIZES, file!("attention/step_merge.wgsl")],
        bindings: &[Read, ReadWrite, ReadWrite],
        variants: &[&[]],
    };
    pub(super) const ALL: &[&Kernel] = &[&FORWARD, &TERMS, &BACKWARD_QUERY, &BACKWARD_KEY, &STEP_PART, &STEP_MERGE];
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
pub const ALL: &[&[&Kernel]] = &[arithmetic::ALL, attention::ALL, rotary::ALL];
