//! Matrix products. Kernels in pairs: without and with a bias.

use super::*;

const BATCH: File = file!("matmul/batch.wgsl");
const TILED: File = file!("matmul/tiled.wgsl");
const A_VECTOR: File = file!("matmul/a_vector.wgsl");
const A_SCALAR: File = file!("matmul/a_scalar.wgsl");
const B_VECTOR: File = file!("matmul/b_vector.wgsl");
const B_SCALAR: File = file!("matmul/b_scalar.wgsl");
const PLAIN: File = file!("matmul/epilogue_plain.wgsl");
const BIAS: File = file!("matmul/epilogue_bias.wgsl");

const fn plain(name: &'static str, files: &'static [File]) -> Kernel {
    Kernel { name, files, bindings: &[Read, Read, ReadWrite], variants: VARIANTS }
}

const fn bias(name: &'static str, files: &'static [File]) -> Kernel {
    Kernel { name, files, bindings: &[Read, Read, ReadWrite, Read], variants: ONE_PRODUCT }
}

/// Tile sizes as `TILE_M`, `TILE_N`, `TILE_K`, `ROWS`, from large outputs to small.
pub const TILES: [[u32; 4]; 3] = [[128, 64, 16, 8], [64, 64, 16, 4], [32, 32, 16, 4]];

const fn variant(tile: [u32; 4], a: u32, b: u32, summed: u32) -> [Constant; 7] {
    [
        ("TILE_M", tile[0]),
        ("TILE_N", tile[1]),
        ("TILE_K", tile[2]),
        ("ROWS", tile[3]),
        ("A_TRANSPOSED", a),
        ("B_TRANSPOSED", b),
        ("SUMMED", summed),
    ]
}

/// The constants of a tile size, of how the operands are stored, and of whether several products are added up.
pub fn constants(tile: [u32; 4], a_transposed: bool, b_transposed: bool, summed: bool) -> [Constant; 7] {
    variant(tile, a_transposed as u32, b_transposed as u32, summed as u32)
}

const ONE_PRODUCT: &[&[Constant]] = &[
    &variant(TILES[0], 0, 0, 0),
    &variant(TILES[0], 0, 1, 0),
    &variant(TILES[0], 1, 0, 0),
    &variant(TILES[0], 1, 1, 0),
    &variant(TILES[1], 0, 0, 0),
    &variant(TILES[1], 0, 1, 0),
    &variant(TILES[1], 1, 0, 0),
    &variant(TILES[1], 1, 1, 0),
    &variant(TILES[2], 0, 0, 0),
    &variant(TILES[2], 0, 1, 0),
    &variant(TILES[2], 1, 0, 0),
    &variant(TILES[2], 1, 1, 0),
];

const VARIANTS: &[&[Constant]] = &[
    ONE_PRODUCT[0],
    ONE_PRODUCT[1],
    ONE_PRODUCT[2],
    ONE_PRODUCT[3],
    ONE_PRODUCT[4],
    ONE_PRODUCT[5],
    ONE_PRODUCT[6],
    ONE_PRODUCT[7],
    ONE_PRODUCT[8],
    ONE_PRODUCT[9],
    ONE_PRODUCT[10],
    ONE_PRODUCT[11],
    &variant(TILES[0], 0, 0, 1),
    &variant(TILES[0], 0, 1, 1),
    &variant(TILES[0], 1, 0, 1),
    &variant(TILES[0], 1, 1, 1),
    &variant(TILES[1], 0, 0, 1),
    &variant(TILES[1], 0, 1, 1),
    &variant(TILES[1], 1, 0, 1),
    &variant(TILES[1], 1, 1, 1),
    &variant(TILES[2], 0, 0, 1),
    &variant(TILES[2], 0, 1, 1),
    &variant(TILES[2], 1, 0, 1),
    &variant(TILES[2], 1, 1, 1),
];

/// Both operands in vectors.
pub static VECTOR_VECTOR: [Kernel; 2] = [
    plain("matmul/tiled_vv", &[INDEX, BATCH, A_VECTOR, B_VECTOR, PLAIN, TILED]),
    bias("matmul/tiled_vv_bias", &[INDEX, BATCH, A_VECTOR, B_VECTOR, BIAS, TILED]),
];
/// A in vectors, B one by one.
pub static VECTOR_SCALAR: [Kernel; 2] = [
    plain("matmul/tiled_vs", &[INDEX, BATCH, A_VECTOR, B_SCALAR, PLAIN, TILED]),
    bias("matmul/tiled_vs_bias", &[INDEX, BATCH, A_VECTOR, B_SCALAR, BIAS, TILED]),
];
/// A one by one, B in vectors.
pub static SCALAR_VECTOR: [Kernel; 2] = [
    plain("matmul/tiled_sv", &[INDEX, BATCH, A_SCALAR, B_VECTOR, PLAIN, TILED]),
    bias("matmul/tiled_sv_bias", &[INDEX, BATCH, A_SCALAR, B_VECTOR, BIAS, TILED]),
];
/// Both operands one by one.
pub static SCALAR_SCALAR: [Kernel; 2] = [
    plain("matmul/tiled_ss", &[INDEX, BATCH, A_SCALAR, B_SCALAR, PLAIN, TILED]),
    bias("matmul/tiled_ss_bias", &[INDEX, BATCH, A_SCALAR, B_SCALAR, BIAS, TILED]),
];
pub(super) const ALL: &[&Kernel] = &[
    &VECTOR_VECTOR[0],
    &VECTOR_VECTOR[1],
    &VECTOR_SCALAR[0],
    &VECTOR_SCALAR[1],
    &SCALAR_VECTOR[0],
    &SCALAR_VECTOR[1],
    &SCALAR_SCALAR[0],
    &SCALAR_SCALAR[1],
];
