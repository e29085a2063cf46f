//! The table of all programs, one module an operation.

use crate::Access::{Read, ReadWrite};
use crate::{Constant, File, Kernel};

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

/// Cross-entropy of blocks of logits.
pub mod cross_entropy {
    use super::*;

    const FLOAT: File = file!("prelude/float.wgsl");

    /// One over the number of targets that count.
    pub static KEPT: Kernel = Kernel {
        name: "cross_entropy/kept",
        files: &[file!("cross_entropy/kept.wgsl")],
        bindings: &[Read, ReadWrite],
        variants: &[&[]],
    };
    /// Loss of each row, gradients in place of the logits.
    pub static ROWS: Kernel = Kernel {
        name: "cross_entropy/rows",
        files: &[INDEX, FLOAT, file!("cross_entropy/rows.wgsl")],
        bindings: &[ReadWrite, Read, Read, ReadWrite],
        variants: &[&[("GRADIENTS", 0)], &[("GRADIENTS", 1)]],
    };
    /// The mean of the rows' losses.
    pub static MEAN: Kernel = Kernel {
        name: "cross_entropy/mean",
        files: &[file!("cross_entropy/mean.wgsl")],
        bindings: &[Read, Read, ReadWrite],
        variants: &[&[]],
    };
    /// Saved gradients times the upstream one.
    pub static SCALE: Kernel = Kernel {
        name: "cross_entropy/scale",
        files: &[INDEX, file!("cross_entropy/scale.wgsl")],
        bindings: &[Read, Read, ReadWrite],
        variants: &[&[]],
    };
    pub(super) const ALL: &[&Kernel] = &[&KEPT, &ROWS, &MEAN, &SCALE];
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

/// The norm of all gradients, the step state and AdamW.
pub mod adamw {
    use super::*;

    const FLOAT: File = file!("prelude/float.wgsl");
    const STATE: File = file!("adamw/step_state.wgsl");

    /// Partial sums of squares of one gradient.
    pub static SUM_OF_SQUARES: Kernel = Kernel {
        name: "adamw/sum_of_squares",
        files: &[INDEX, FLOAT, STATE, file!("adamw/sum_of_squares.wgsl")],
        bindings: &[Read, ReadWrite],
        variants: &[&[]],
    };
    /// The norm, and what the step does.
    pub static FINISH: Kernel = Kernel {
        name: "adamw/finish",
        files: &[FLOAT, STATE, file!("adamw/finish.wgsl")],
        bindings: &[Read, ReadWrite],
        variants: &[&[]],
    };
    /// The update of one tensor.
    pub static UPDATE: Kernel = Kernel {
        name: "adamw/update",
        files: &[INDEX, STATE, file!("adamw/update.wgsl")],
        bindings: &[Read, Read, ReadWrite, ReadWrite, ReadWrite],
        variants: &[&[]],
    };
    pub(super) const ALL: &[&Kernel] = &[&SUM_OF_SQUARES, &FINISH, &UPDATE];
}

/// Matrix products.
pub mod matmul {
    use super::*;

    const TILED: File = file!("matmul/tiled.wgsl");
    const A_VECTOR: File = file!("matmul/a_vector.wgsl");
    const A_SCALAR: File = file!("matmul/a_scalar.wgsl");
    const B_VECTOR: File = file!("matmul/b_vector.wgsl");
    const B_SCALAR: File = file!("matmul/b_scalar.wgsl");

    const fn tiled(name: &'static str, files: &'static [File]) -> Kernel {
        Kernel { name, files, bindings: &[Read, Read, ReadWrite], variants: VARIANTS }
    }

    /// Tile sizes as `TILE_M`, `TILE_N`, `TILE_K`, `ROWS`, from large outputs to small.
    pub const TILES: [[u32; 4]; 3] = [[128, 64, 16, 8], [64, 64, 16, 4], [32, 32, 16, 4]];

    const fn variant(tile: [u32; 4], a: u32, b: u32) -> [Constant; 6] {
        [
            ("TILE_M", tile[0]),
            ("TILE_N", tile[1]),
            ("TILE_K", tile[2]),
            ("ROWS", tile[3]),
            ("A_TRANSPOSED", a),
            ("B_TRANSPOSED", b),
        ]
    }

    /// The constants of a tile size and of how the operands are stored.
    pub fn constants(tile: [u32; 4], a_transposed: bool, b_transposed: bool) -> [Constant; 6] {
        variant(tile, a_transposed as u32, b_transposed as u32)
    }

    const VARIANTS: &[&[Constant]] = &[
        &variant(TILES[0], 0, 0),
        &variant(TILES[0], 0, 1),
        &variant(TILES[0], 1, 0),
        &variant(TILES[0], 1, 1),
        &variant(TILES[1], 0, 0),
        &variant(TILES[1], 0, 1),
        &variant(TILES[1], 1, 0),
        &variant(TILES[1], 1, 1),
        &variant(TILES[2], 0, 0),
        &variant(TILES[2], 0, 1),
        &variant(TILES[2], 1, 0),
        &variant(TILES[2], 1, 1),
    ];

    /// Both operands in vectors.
    pub static VECTOR_VECTOR: Kernel = tiled("matmul/tiled_vv", &[A_VECTOR, B_VECTOR, TILED]);
    /// A in vectors, B one by one.
    pub static VECTOR_SCALAR: Kernel = tiled("matmul/tiled_vs", &[A_VECTOR, B_SCALAR, TILED]);
    /// A one by one, B in vectors.
    pub static SCALAR_VECTOR: Kernel = tiled("matmul/tiled_sv", &[A_SCALAR, B_VECTOR, TILED]);
    /// Both operands one by one.
    pub static SCALAR_SCALAR: Kernel = tiled("matmul/tiled_ss", &[A_SCALAR, B_SCALAR, TILED]);
    pub(super) const ALL: &[&Kernel] = &[&VECTOR_VECTOR, &VECTOR_SCALAR, &SCALAR_VECTOR, &SCALAR_SCALAR];
}

/// Every program by operation, for the tests that translate and lint them all.
pub const ALL: &[&[&Kernel]] = &[arithmetic::ALL, adamw::ALL, cross_entropy::ALL, embedding::ALL, matmul::ALL];
