//! The table of all programs, one module an operation.

use crate::Access::{Read, ReadWrite};
use crate::{Access, Constant, File, Kernel};

macro_rules! file {
    ($path:expr) => {
        File { path: $path, text: include_str!(concat!("../", $path)) }
    };
}

const INDEX: File = file!("prelude/index.wgsl");
const FLOAT: File = file!("prelude/float.wgsl");
const PACK_1: File = file!("prelude/pack_1.wgsl");
const PACK_4: File = file!("prelude/pack_4.wgsl");
const ROW_SUMS: File = file!("prelude/row_sums.wgsl");
const ROW_HIGHEST: File = file!("prelude/row_highest.wgsl");

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

/// Normalisation of rows. Kernels in pairs read rows by single elements and by fours.
pub mod norm {
    use super::*;

    const FORWARD_FILE: File = file!("norm/forward.wgsl");
    const BACKWARD_FILE: File = file!("norm/backward.wgsl");
    const OUTPUT_PLAIN: File = file!("norm/output_plain.wgsl");
    const OUTPUT_GATED: File = file!("norm/output_gated.wgsl");
    const GRADIENT_PLAIN: File = file!("norm/gradient_plain.wgsl");
    const GRADIENT_GATED: File = file!("norm/gradient_gated.wgsl");
    const VARIANTS: &[&[Constant]] = &[
        &[("SPAN", 8), ("KEPT", 1), ("CENTRED", 0)],
        &[("SPAN", 32), ("KEPT", 1), ("CENTRED", 1)],
        &[("SPAN", 128), ("KEPT", 1), ("CENTRED", 0)],
        &[("SPAN", 256), ("KEPT", 1), ("CENTRED", 1)],
        &[("SPAN", 256), ("KEPT", 16), ("CENTRED", 1)],
    ];

    const fn kernel(name: &'static str, files: &'static [File], bindings: &'static [Access]) -> Kernel {
        Kernel { name, files, bindings, variants: VARIANTS }
    }

    const FORWARD_BINDINGS: &[Access] = &[Read, Read, ReadWrite];
    const FORWARD_GATED_BINDINGS: &[Access] = &[Read, Read, ReadWrite, Read];
    const BACKWARD_BINDINGS: &[Access] = &[Read, Read, Read, ReadWrite, ReadWrite];
    const BACKWARD_GATED_BINDINGS: &[Access] = &[Read, Read, Read, ReadWrite, ReadWrite, Read, ReadWrite];

    /// y from x and weight.
    pub static FORWARD: [Kernel; 2] = [
        kernel("norm/forward_1", &[INDEX, FLOAT, PACK_1, ROW_SUMS, OUTPUT_PLAIN, FORWARD_FILE], FORWARD_BINDINGS),
        kernel("norm/forward_4", &[INDEX, FLOAT, PACK_4, ROW_SUMS, OUTPUT_PLAIN, FORWARD_FILE], FORWARD_BINDINGS),
    ];
    /// y from x, weight and gate.
    pub static FORWARD_GATED: [Kernel; 2] = [
        kernel(
            "norm/forward_gated_1",
            &[INDEX, FLOAT, PACK_1, ROW_SUMS, OUTPUT_GATED, FORWARD_FILE],
            FORWARD_GATED_BINDINGS,
        ),
        kernel(
            "norm/forward_gated_4",
            &[INDEX, FLOAT, PACK_4, ROW_SUMS, OUTPUT_GATED, FORWARD_FILE],
            FORWARD_GATED_BINDINGS,
        ),
    ];
    /// d_x and partial sums of d_weight.
    pub static BACKWARD: [Kernel; 2] = [
        kernel("norm/backward_1", &[INDEX, FLOAT, PACK_1, ROW_SUMS, GRADIENT_PLAIN, BACKWARD_FILE], BACKWARD_BINDINGS),
        kernel("norm/backward_4", &[INDEX, FLOAT, PACK_4, ROW_SUMS, GRADIENT_PLAIN, BACKWARD_FILE], BACKWARD_BINDINGS),
    ];
    /// d_x, d_gate and partial sums of d_weight.
    pub static BACKWARD_GATED: [Kernel; 2] = [
        kernel(
            "norm/backward_gated_1",
            &[INDEX, FLOAT, PACK_1, ROW_SUMS, GRADIENT_GATED, BACKWARD_FILE],
            BACKWARD_GATED_BINDINGS,
        ),
        kernel(
            "norm/backward_gated_4",
            &[INDEX, FLOAT, PACK_4, ROW_SUMS, GRADIENT_GATED, BACKWARD_FILE],
            BACKWARD_GATED_BINDINGS,
        ),
    ];
    /// The sum of the partial sums.
    pub static COLUMN_SUM: Kernel = Kernel {
        name: "norm/column_sum",
        files: &[INDEX, file!("norm/column_sum.wgsl")],
        bindings: &[Read, ReadWrite],
        variants: &[&[]],
    };
    pub(super) const ALL: &[&Kernel] = &[
        &FORWARD[0],
        &FORWARD[1],
        &FORWARD_GATED[0],
        &FORWARD_GATED[1],
        &BACKWARD[0],
        &BACKWARD[1],
        &BACKWARD_GATED[0],
        &BACKWARD_GATED[1],
        &COLUMN_SUM,
    ];
}

/// Elementwise functions of one input. Kernels in pairs work on single elements and on fours.
pub mod unary {
    use super::*;

    const EACH_1: File = file!("unary/each_1.wgsl");
    const EACH_4: File = file!("unary/each_4.wgsl");

    /// One function's kernels.
    #[derive(Debug)]
    pub struct Unary {
        /// y from x.
        pub forward: [Kernel; 2],
        /// d_x from x or y, and d_y.
        pub backward: [Kernel; 2],
    }

    macro_rules! functions {
        ($(#[$doc:meta] $id:ident $name:literal,)*) => {
            $(#[$doc] pub static $id: Unary = Unary {
                forward: [
                    forward(concat!("unary/", $name, "_forward_1"), &[
                        INDEX, FLOAT, PACK_1, EACH_1, file!(concat!("unary/", $name, ".wgsl")), file!("unary/forward.wgsl"),
                    ]),
                    forward(concat!("unary/", $name, "_forward_4"), &[
                        INDEX, FLOAT, PACK_4, EACH_4, file!(concat!("unary/", $name, ".wgsl")), file!("unary/forward.wgsl"),
                    ]),
                ],
                backward: [
                    backward(concat!("unary/", $name, "_backward_1"), &[
                        INDEX, FLOAT, PACK_1, EACH_1, file!(concat!("unary/", $name, ".wgsl")), file!("unary/backward.wgsl"),
                    ]),
                    backward(concat!("unary/", $name, "_backward_4"), &[
                        INDEX, FLOAT, PACK_4, EACH_4, file!(concat!("unary/", $name, ".wgsl")), file!("unary/backward.wgsl"),
                    ]),
                ],
            };)*
            pub(super) const ALL: &[&Kernel] =
                &[$(&$id.forward[0], &$id.forward[1], &$id.backward[0], &$id.backward[1],)*];
        };
    }

    const fn forward(name: &'static str, files: &'static [File]) -> Kernel {
        Kernel { name, files, bindings: &[Read, ReadWrite], variants: &[&[]] }
    }

    const fn backward(name: &'static str, files: &'static [File]) -> Kernel {
        Kernel { name, files, bindings: &[Read, Read, ReadWrite], variants: &[&[]] }
    }

    functions! {
        /// 1 / (1 + e^−x)
        SIGMOID "sigmoid",
        /// c · tanh(x / c)
        SOFT_CAP "soft_cap",
        /// tanh x
        TANH "tanh",
        /// e^x
        EXP "exp",
        /// ln x
        LOG "log",
        /// √x
        SQRT "sqrt",
        /// x · σ(x)
        SILU "silu",
        /// GELU in its tanh form
        GELU "gelu",
        /// ln σ(x)
        LOG_SIGMOID "log_sigmoid",
        /// ln(1 + e^x)
        SOFTPLUS "softplus",
        /// c · x
        SCALE "scale",
        /// x²
        SQUARE "square",
        /// x^c
        POWER "power",
    }
}

/// SwiGLU. Kernels in pairs work on single elements and on fours.
pub mod swiglu {
    use super::*;

    const FORWARD_FILE: File = file!("swiglu/forward.wgsl");
    const BACKWARD_FILE: File = file!("swiglu/backward.wgsl");
    const SEPARATE: File = file!("swiglu/separate.wgsl");
    const SEPARATE_GRADIENTS: File = file!("swiglu/separate_gradients.wgsl");
    const PACKED: File = file!("swiglu/packed.wgsl");
    const PACKED_GRADIENTS: File = file!("swiglu/packed_gradients.wgsl");

    const fn kernel(name: &'static str, files: &'static [File], bindings: &'static [Access]) -> Kernel {
        Kernel { name, files, bindings, variants: &[&[]] }
    }

    /// y from gate and up.
    pub static FORWARD: [Kernel; 2] = [
        kernel("swiglu/forward_1", &[INDEX, FLOAT, PACK_1, SEPARATE, FORWARD_FILE], &[ReadWrite, Read, Read]),
        kernel("swiglu/forward_4", &[INDEX, FLOAT, PACK_4, SEPARATE, FORWARD_FILE], &[ReadWrite, Read, Read]),
    ];
    /// y from gate and up side by side.
    pub static FORWARD_PACKED: [Kernel; 2] = [
        kernel("swiglu/forward_packed_1", &[INDEX, FLOAT, PACK_1, PACKED, FORWARD_FILE], &[ReadWrite, Read]),
        kernel("swiglu/forward_packed_4", &[INDEX, FLOAT, PACK_4, PACKED, FORWARD_FILE], &[ReadWrite, Read]),
    ];
    /// d_gate and d_up.
    pub static BACKWARD: [Kernel; 2] = [
        kernel(
            "swiglu/backward_1",
            &[INDEX, FLOAT, PACK_1, SEPARATE, SEPARATE_GRADIENTS, BACKWARD_FILE],
            &[Read, Read, Read, ReadWrite, ReadWrite],
        ),
        kernel(
            "swiglu/backward_4",
            &[INDEX, FLOAT, PACK_4, SEPARATE, SEPARATE_GRADIENTS, BACKWARD_FILE],
            &[Read, Read, Read, ReadWrite, ReadWrite],
        ),
    ];
    /// d_gate and d_up side by side.
    pub static BACKWARD_PACKED: [Kernel; 2] = [
        kernel(
            "swiglu/backward_packed_1",
            &[INDEX, FLOAT, PACK_1, PACKED, PACKED_GRADIENTS, BACKWARD_FILE],
            &[Read, Read, ReadWrite],
        ),
        kernel(
            "swiglu/backward_packed_4",
            &[INDEX, FLOAT, PACK_4, PACKED, PACKED_GRADIENTS, BACKWARD_FILE],
            &[Read, Read, ReadWrite],
        ),
    ];
    pub(super) const ALL: &[&Kernel] = &[
        &FORWARD[0],
        &FORWARD[1],
        &FORWARD_PACKED[0],
        &FORWARD_PACKED[1],
        &BACKWARD[0],
        &BACKWARD[1],
        &BACKWARD_PACKED[0],
        &BACKWARD_PACKED[1],
    ];
}

/// Sums and means. Kernels in pairs read by single elements and by fours.
pub mod reduction {
    use super::*;

    const SUM_FILE: File = file!("reduction/sum.wgsl");
    const SPREAD_FILE: File = file!("reduction/spread.wgsl");

    const fn sum(name: &'static str, files: &'static [File]) -> Kernel {
        Kernel { name, files, bindings: &[Read, ReadWrite], variants: &[&[("SPAN", 8)], &[("SPAN", 256)]] }
    }

    const fn spread(name: &'static str, files: &'static [File]) -> Kernel {
        Kernel { name, files, bindings: &[Read, ReadWrite], variants: &[&[]] }
    }

    /// The sum of each row, times a factor.
    pub static SUM: [Kernel; 2] = [
        sum("reduction/sum_1", &[INDEX, FLOAT, PACK_1, ROW_SUMS, SUM_FILE]),
        sum("reduction/sum_4", &[INDEX, FLOAT, PACK_4, ROW_SUMS, SUM_FILE]),
    ];
    /// Its gradient.
    pub static SPREAD: [Kernel; 2] = [
        spread("reduction/spread_1", &[INDEX, FLOAT, PACK_1, SPREAD_FILE]),
        spread("reduction/spread_4", &[INDEX, FLOAT, PACK_4, SPREAD_FILE]),
    ];
    pub(super) const ALL: &[&Kernel] = &[&SUM[0], &SUM[1], &SPREAD[0], &SPREAD[1]];
}

/// Softmax and its logarithm over rows. Kernels in pairs read by single elements and by fours.
pub mod softmax {
    use super::*;

    const FORWARD_FILE: File = file!("softmax/forward.wgsl");
    const BACKWARD_FILE: File = file!("softmax/backward.wgsl");
    const VARIANTS: &[&[Constant]] = &[
        &[("SPAN", 8), ("KEPT", 1), ("LOGARITHM", 0)],
        &[("SPAN", 256), ("KEPT", 1), ("LOGARITHM", 1)],
        &[("SPAN", 256), ("KEPT", 16), ("LOGARITHM", 0)],
    ];

    const fn kernel(name: &'static str, files: &'static [File], bindings: &'static [Access]) -> Kernel {
        Kernel { name, files, bindings, variants: VARIANTS }
    }

    /// y from x.
    pub static FORWARD: [Kernel; 2] = [
        kernel("softmax/forward_1", &[INDEX, FLOAT, PACK_1, ROW_SUMS, ROW_HIGHEST, FORWARD_FILE], &[Read, ReadWrite]),
        kernel("softmax/forward_4", &[INDEX, FLOAT, PACK_4, ROW_SUMS, ROW_HIGHEST, FORWARD_FILE], &[Read, ReadWrite]),
    ];
    /// d_x from y and d_y.
    pub static BACKWARD: [Kernel; 2] = [
        kernel("softmax/backward_1", &[INDEX, FLOAT, PACK_1, ROW_SUMS, BACKWARD_FILE], &[Read, Read, ReadWrite]),
        kernel("softmax/backward_4", &[INDEX, FLOAT, PACK_4, ROW_SUMS, BACKWARD_FILE], &[Read, Read, ReadWrite]),
    ];
    pub(super) const ALL: &[&Kernel] = &[&FORWARD[0], &FORWARD[1], &BACKWARD[0], &BACKWARD[1]];
}

/// Parts along a dimension.
pub mod slice {
    use super::*;

    /// A window of columns, with zeros where there are none.
    pub static WINDOW: Kernel = Kernel {
        name: "slice/window",
        files: &[INDEX, file!("slice/window.wgsl")],
        bindings: &[Read, ReadWrite],
        variants: &[&[]],
    };
    pub(super) const ALL: &[&Kernel] = &[&WINDOW];
}

/// Every program by operation, for the tests that translate and lint them all.
pub const ALL: &[&[&Kernel]] =
    &[arithmetic::ALL, matmul::ALL, norm::ALL, unary::ALL, swiglu::ALL, reduction::ALL, softmax::ALL, slice::ALL];
