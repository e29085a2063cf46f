//! Matrix products.

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
