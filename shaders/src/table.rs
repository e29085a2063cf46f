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

/// The mLSTM cell, chunkwise, and its single step.
pub mod mlstm {
    use super::*;

    const FLOAT: File = file!("prelude/float.wgsl");
    const LAYOUT: File = file!("mlstm/layout.wgsl");
    const STATES_PASS: File = file!("mlstm/states.wgsl");
    const DECAY: File = file!("mlstm/decay.wgsl");
    const TILES: File = file!("mlstm/tiles.wgsl");

    const fn kernel(name: &'static str, files: &'static [File], bindings: &'static [crate::Access]) -> Kernel {
        Kernel { name, files, bindings, variants: &[&[]] }
    }

    /// Sums of ln f inside each chunk.
    pub static GATES: Kernel =
        kernel("mlstm/gates", &[INDEX, FLOAT, LAYOUT, file!("mlstm/gates.wgsl")], &[Read, Read, ReadWrite]);
    /// The states at all chunk borders.
    pub static STATES: Kernel = kernel(
        "mlstm/states",
        &[INDEX, FLOAT, LAYOUT, file!("mlstm/states_forward.wgsl"), STATES_PASS],
        &[Read, Read, Read, ReadWrite],
    );
    /// The gradients of the states at all chunk borders.
    pub static D_STATES: Kernel = kernel(
        "mlstm/d_states",
        &[INDEX, FLOAT, LAYOUT, file!("mlstm/states_backward.wgsl"), STATES_PASS],
        &[Read, Read, Read, Read, Read, ReadWrite],
    );
    /// h and den.
    pub static OUTPUT: Kernel = kernel(
        "mlstm/output",
        &[INDEX, FLOAT, LAYOUT, file!("mlstm/output.wgsl"), DECAY, TILES],
        &[Read, Read, Read, Read, Read, ReadWrite, ReadWrite],
    );
    const SIX_TO_ONE: &[crate::Access] = &[Read, Read, Read, Read, Read, Read, ReadWrite];
    /// The query's gradient.
    pub static D_QUERY: Kernel =
        kernel("mlstm/d_query", &[INDEX, FLOAT, LAYOUT, file!("mlstm/d_query.wgsl"), DECAY, TILES], SIX_TO_ONE);
    /// The key's gradient.
    pub static D_KEY: Kernel =
        kernel("mlstm/d_key", &[INDEX, FLOAT, LAYOUT, file!("mlstm/d_key.wgsl"), DECAY, TILES], SIX_TO_ONE);
    /// The value's gradient.
    pub static D_VALUE: Kernel =
        kernel("mlstm/d_value", &[INDEX, FLOAT, LAYOUT, file!("mlstm/d_value.wgsl"), DECAY, TILES], SIX_TO_ONE);
    /// What the backward needs of each position.
    pub static ROWS: Kernel = kernel(
        "mlstm/rows",
        &[INDEX, FLOAT, LAYOUT, file!("mlstm/rows.wgsl")],
        &[Read, Read, Read, Read, Read, ReadWrite],
    );
    /// The input gate's gradient and the terms of the forget gate's.
    pub static GATE_TERMS: Kernel = kernel(
        "mlstm/gate_terms",
        &[INDEX, LAYOUT, file!("mlstm/gate_terms.wgsl")],
        &[Read, Read, Read, Read, ReadWrite, ReadWrite],
    );
    /// Inner products of the outermost states with their gradients.
    pub static INNER: Kernel =
        kernel("mlstm/inner", &[INDEX, LAYOUT, file!("mlstm/inner.wgsl")], &[Read, Read, ReadWrite]);
    /// The forget gate's gradient.
    pub static FORGET: Kernel = kernel(
        "mlstm/forget",
        &[INDEX, FLOAT, LAYOUT, file!("mlstm/forget.wgsl")],
        &[Read, Read, Read, Read, ReadWrite, ReadWrite, ReadWrite],
    );
    /// One position: the stabiliser and the factors.
    pub static STEP_GATES: Kernel = kernel(
        "mlstm/step_gates",
        &[INDEX, FLOAT, LAYOUT, file!("mlstm/step_gates.wgsl")],
        &[Read, Read, Read, ReadWrite, ReadWrite],
    );
    /// One position: n and the denominator.
    pub static STEP_NORMALIZER: Kernel = kernel(
        "mlstm/step_normalizer",
        &[INDEX, LAYOUT, file!("mlstm/step_normalizer.wgsl")],
        &[Read, Read, Read, ReadWrite, ReadWrite],
    );
    /// One position: C and h.
    pub static STEP_MEMORY: Kernel = kernel(
        "mlstm/step_memory",
        &[INDEX, LAYOUT, file!("mlstm/step_memory.wgsl")],
        &[Read, Read, Read, Read, Read, ReadWrite, ReadWrite],
    );
    pub(super) const ALL: &[&Kernel] = &[
        &GATES,
        &STATES,
        &D_STATES,
        &OUTPUT,
        &D_QUERY,
        &D_KEY,
        &D_VALUE,
        &ROWS,
        &GATE_TERMS,
        &INNER,
        &FORGET,
        &STEP_GATES,
        &STEP_NORMALIZER,
        &STEP_MEMORY,
    ];
}

/// Every program by operation, for the tests that translate and lint them all.
pub const ALL: &[&[&Kernel]] = &[arithmetic::ALL, matmul::ALL, mlstm::ALL];
