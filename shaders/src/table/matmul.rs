//! Matrix products: the tiled kernels, and those on matrix units.
//!
//! A kernel's name ends with the types of A, B and C, f for f32 and h for f16; before it stand how A, B and C are read and
//! written, v for vectors and s for one element after the other, or, on matrix units, whether A and B lie by rows or columns.

use super::*;

const BATCH: File = file!("matmul/batch.wgsl");
const WALK: File = file!("matmul/walk.wgsl");
const TILED: File = file!("matmul/tiled.wgsl");
pub(crate) const ON_UNITS: File = file!("matmul/cooperative.wgsl");
const UNITS_PANELS: File = file!("matmul/units_panels.wgsl");
const A_WALK: File = file!("matmul/a_walk.wgsl");
const B_WALK: File = file!("matmul/b_walk.wgsl");
const A_VECTOR: File = file!("matmul/a_vector.wgsl");
const A_SCALAR: File = file!("matmul/a_scalar.wgsl");
const B_VECTOR: File = file!("matmul/b_vector.wgsl");
const B_SCALAR: File = file!("matmul/b_scalar.wgsl");
const C_VECTOR: File = file!("matmul/store_vector.wgsl");
const C_SCALAR: File = file!("matmul/store_scalar.wgsl");
const LEFT_ROWS: File = file!("matmul/left_rows.wgsl");
const LEFT_COLUMNS: File = file!("matmul/left_columns.wgsl");
const RIGHT_ROWS: File = file!("matmul/right_rows.wgsl");
const RIGHT_COLUMNS: File = file!("matmul/right_columns.wgsl");
const PLAIN: File = file!("matmul/epilogue_plain.wgsl");
const BIAS: File = file!("matmul/epilogue_bias.wgsl");
const RESIDUAL: File = file!("matmul/epilogue_residual.wgsl");
const A_FULL: File = file!("matmul/a_full.wgsl");
const A_HALF: File = file!("matmul/a_half.wgsl");
const B_FULL: File = file!("matmul/b_full.wgsl");
const B_HALF: File = file!("matmul/b_half.wgsl");
const C_FULL: File = file!("matmul/c_full.wgsl");
const C_HALF: File = file!("matmul/c_half.wgsl");

/// A kernel with each epilogue: none, a bias, the residual stream; with a result in f16 only the first.
pub type Epilogues = &'static [Kernel];

/// Tile sizes as `TILE_M`, `TILE_N`, `TILE_K`, `ROW_QUADS`, `COLUMN_QUADS`, from large outputs to small.
pub const TILES: [[u32; 5]; 3] = [[128, 64, 8, 2, 2], [64, 64, 16, 2, 1], [32, 32, 8, 1, 1]];

const fn variant(tile: [u32; 5], a: u32, b: u32, summed: u32, whole: u32) -> [Constant; 9] {
    [
        ("TILE_M", tile[0]),
        ("TILE_N", tile[1]),
        ("TILE_K", tile[2]),
        ("ROW_QUADS", tile[3]),
        ("COLUMN_QUADS", tile[4]),
        ("A_TRANSPOSED", a),
        ("B_TRANSPOSED", b),
        ("SUMMED", summed),
        ("WHOLE", whole),
    ]
}

/// The constants of a tile size, of how the operands are stored, of whether several products are added up, and of whether the
/// tiles fill the matrices.
pub fn constants(tile: [u32; 5], [a_transposed, b_transposed]: [bool; 2], summed: bool, whole: bool) -> [Constant; 9] {
    variant(tile, a_transposed as u32, b_transposed as u32, summed as u32, whole as u32)
}

/// Tile sizes on matrix units as `TILE_M`, `TILE_N`, `TILE_K`, and a subgroup's `SHARE_M`, `SHARE_N`: of large outputs, of
/// small ones.
pub const UNIT_TILES: [[u32; 5]; 2] = [[128, 128, 32, 64, 64], [64, 64, 64, 32, 32]];

/// Panels of a large tile are loaded one ahead, of a small one, which is soon multiplied, two.
const fn unit_variant(tile: [u32; 5], a: u32, b: u32, whole: u32) -> [Constant; 9] {
    let ahead = if tile[0] < UNIT_TILES[0][0] { 2 } else { 1 };
    [
        ("TILE_M", tile[0]),
        ("TILE_N", tile[1]),
        ("TILE_K", tile[2]),
        ("SHARE_M", tile[3]),
        ("SHARE_N", tile[4]),
        ("AHEAD", ahead),
        ("A_TRANSPOSED", a),
        ("B_TRANSPOSED", b),
        ("WHOLE", whole),
    ]
}

/// The constants of a tile size on matrix units, of how the operands are stored, and of whether the tiles fill the matrices.
pub fn unit_constants(tile: [u32; 5], [a_transposed, b_transposed]: [bool; 2], whole: bool) -> [Constant; 9] {
    unit_variant(tile, a_transposed as u32, b_transposed as u32, whole as u32)
}

const ALL_TILES: &[&[Constant]] = &[
    &variant(TILES[0], 0, 0, 0, 0),
    &variant(TILES[0], 0, 1, 0, 0),
    &variant(TILES[0], 1, 0, 0, 0),
    &variant(TILES[0], 1, 1, 1, 0),
    &variant(TILES[1], 0, 0, 0, 0),
    &variant(TILES[1], 0, 1, 0, 0),
    &variant(TILES[1], 1, 0, 0, 0),
    &variant(TILES[1], 1, 1, 1, 0),
    &variant(TILES[2], 0, 0, 0, 0),
    &variant(TILES[2], 0, 1, 1, 0),
    &variant(TILES[2], 1, 0, 1, 0),
    &variant(TILES[2], 1, 1, 1, 0),
];
/// What runs where all is read and written in vectors.
const VECTOR_TILES: &[&[Constant]] = &[
    ALL_TILES[0],
    ALL_TILES[1],
    ALL_TILES[2],
    ALL_TILES[3],
    ALL_TILES[4],
    ALL_TILES[8],
    &variant(TILES[0], 0, 0, 0, 1),
    &variant(TILES[0], 0, 1, 0, 1),
    &variant(TILES[0], 1, 0, 0, 1),
    &variant(TILES[1], 0, 1, 0, 1),
    &variant(TILES[1], 1, 1, 1, 1),
    &variant(TILES[2], 0, 0, 0, 1),
];
const SOME_TILES: &[&[Constant]] = &[ALL_TILES[0], ALL_TILES[5], ALL_TILES[10], ALL_TILES[11]];

macro_rules! tiled {
    (plain $kind:literal, $loads:expr, $types:literal, $typed:expr, $variants:expr) => {
        &[tiled!(@ $kind, "", $loads, $types, $typed, PLAIN, &[Read, Read, ReadWrite], $variants)]
    };
    (all $kind:literal, $loads:expr, $types:literal, $typed:expr, $variants:expr) => {
        &[
            tiled!(@ $kind, "", $loads, $types, $typed, PLAIN, &[Read, Read, ReadWrite], $variants),
            tiled!(@ $kind, "_bias", $loads, $types, $typed, BIAS, &[Read, Read, ReadWrite, Read], $variants),
            tiled!(@ $kind, "_residual", $loads, $types, $typed, RESIDUAL, &[Read, Read, ReadWrite, Read], $variants),
        ]
    };
    (@ $kind:literal, $more:literal, $loads:expr, $types:literal, $typed:expr, $epilogue:expr, $bindings:expr, $variants:expr) => {
        Kernel {
            name: concat!("matmul/tiled_", $kind, "_", $types, $more),
            files: &[
                INDEX, BATCH, WALK, A_WALK, B_WALK, $typed[0], $typed[1], $typed[2], $loads[0], $loads[1], $epilogue, $loads[2], TILED,
            ],
            bindings: $bindings,
            variants: $variants,
        }
    };
}

macro_rules! on_units {
    (plain $kind:literal, $places:expr, $a:literal, $b:literal, $types:literal, $typed:expr) => {
        &[on_units!(@ $kind, "", $places, $a, $b, $types, $typed, PLAIN, &[Read, Read, ReadWrite])]
    };
    (all $kind:literal, $places:expr, $a:literal, $b:literal, $types:literal, $typed:expr) => {
        &[
            on_units!(@ $kind, "", $places, $a, $b, $types, $typed, PLAIN, &[Read, Read, ReadWrite]),
            on_units!(@ $kind, "_bias", $places, $a, $b, $types, $typed, BIAS, &[Read, Read, ReadWrite, Read]),
            on_units!(@ $kind, "_residual", $places, $a, $b, $types, $typed, RESIDUAL, &[Read, Read, ReadWrite, Read]),
        ]
    };
    (@ $kind:literal, $more:literal, $places:expr, $a:literal, $b:literal, $types:literal, $typed:expr, $epilogue:expr, $bindings:expr) => {
        Kernel {
            name: concat!("matmul/units_", $kind, "_", $types, $more),
            files: &[
                INDEX, BATCH, COOPERATIVE, $typed[0], $typed[1], $typed[2], UNITS_PANELS, $places[0], $places[1], $epilogue, C_VECTOR,
                ON_UNITS,
            ],
            bindings: $bindings,
            variants: &[
                &unit_variant(UNIT_TILES[0], $a, $b, 0),
                &unit_variant(UNIT_TILES[0], $a, $b, 1),
                &unit_variant(UNIT_TILES[1], $a, $b, 0),
                &unit_variant(UNIT_TILES[1], $a, $b, 1),
            ],
        }
    };
}

const FULL_TYPES: [File; 3] = [A_FULL, B_FULL, C_FULL];

/// Products of f32 alone, by how A, B and C are read and written: all in vectors; and with C element by element, A and B in
/// vectors, B not, A not, neither.
pub static FULL: [Epilogues; 5] = [
    tiled!(all "vvv", [A_VECTOR, B_VECTOR, C_VECTOR], "fff", FULL_TYPES, VECTOR_TILES),
    tiled!(all "vvs", [A_VECTOR, B_VECTOR, C_SCALAR], "fff", FULL_TYPES, ALL_TILES),
    tiled!(all "vss", [A_VECTOR, B_SCALAR, C_SCALAR], "fff", FULL_TYPES, ALL_TILES),
    tiled!(all "svs", [A_SCALAR, B_VECTOR, C_SCALAR], "fff", FULL_TYPES, ALL_TILES),
    tiled!(all "sss", [A_SCALAR, B_SCALAR, C_SCALAR], "fff", FULL_TYPES, ALL_TILES),
];

/// Products with f16 among their types.
pub struct Mixed {
    /// All in vectors, and all element by element, in f32 arithmetic.
    pub tiled: [Epilogues; 2],
    /// On matrix units, all in vectors: A and B as they are; B transposed; A; both.
    pub on_units: [Epilogues; 4],
}

macro_rules! mixed {
    ($epilogues:ident $types:literal, $typed:expr) => {
        Mixed {
            tiled: [
                tiled!($epilogues "vvv", [A_VECTOR, B_VECTOR, C_VECTOR], $types, $typed, SOME_TILES),
                tiled!($epilogues "sss", [A_SCALAR, B_SCALAR, C_SCALAR], $types, $typed, SOME_TILES),
            ],
            on_units: [
                on_units!($epilogues "rr", [LEFT_ROWS, RIGHT_ROWS], 0, 0, $types, $typed),
                on_units!($epilogues "rc", [LEFT_ROWS, RIGHT_COLUMNS], 0, 1, $types, $typed),
                on_units!($epilogues "cr", [LEFT_COLUMNS, RIGHT_ROWS], 1, 0, $types, $typed),
                on_units!($epilogues "cc", [LEFT_COLUMNS, RIGHT_COLUMNS], 1, 1, $types, $typed),
            ],
        }
    };
}

/// By the types of A, B and C: 4 if A is f16, and 2 if B is, and 1 if C is, less one, since one at least is.
pub static MIXED: [Mixed; 7] = [
    mixed!(plain "ffh", [A_FULL, B_FULL, C_HALF]),
    mixed!(all "fhf", [A_FULL, B_HALF, C_FULL]),
    mixed!(plain "fhh", [A_FULL, B_HALF, C_HALF]),
    mixed!(all "hff", [A_HALF, B_FULL, C_FULL]),
    mixed!(plain "hfh", [A_HALF, B_FULL, C_HALF]),
    mixed!(all "hhf", [A_HALF, B_HALF, C_FULL]),
    mixed!(plain "hhh", [A_HALF, B_HALF, C_HALF]),
];

/// Adds up the sums over the parts of the depth.
pub static SUM_PARTS: Kernel = Kernel {
    name: "matmul/sum_parts",
    files: &[INDEX, file!("matmul/sum_parts.wgsl")],
    bindings: &[Read, ReadWrite],
    variants: &[&[]],
};

/// How many kernels there are, beside the sum of parts.
const COUNT: usize = 5 * 3 + 6 * (3 * 3 + 4);

const fn list() -> [&'static Kernel; 1 + COUNT] {
    let mut all = [&SUM_PARTS; 1 + COUNT];
    let mut at = 1;
    let mut place = 0;
    while place < FULL.len() + 6 * MIXED.len() {
        let kernels = match place.checked_sub(FULL.len()) {
            None => FULL[place],
            Some(place) if place % 6 < 2 => MIXED[place / 6].tiled[place % 6],
            Some(place) => MIXED[place / 6].on_units[place % 6 - 2],
        };
        let mut epilogue = 0;
        while epilogue < kernels.len() {
            all[at] = &kernels[epilogue];
            at += 1;
            epilogue += 1;
        }
        place += 1;
    }
    assert!(at == 1 + COUNT);
    all
}

pub(super) const ALL: &[&Kernel] = &list();
