//! Causal attention. Constants of the kernels that work in tiles: `TX` invocations across, `SLICES` of 4 TX columns that
//! cover head_dim, of which `SPAN`, 16 / TX at most, at a time; of single steps: `SLICES` of 64 columns.

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

const VECTOR: File = file!("attention/load_vector.wgsl");
const SCALAR: File = file!("attention/load_scalar.wgsl");
const ROWS: File = file!("attention/rows.wgsl");
const STEPS: &[&[Constant]] = &[&[("SLICES", 1)], &[("SLICES", 2)], &[("SLICES", 3)], &[("SLICES", 4)]];

const fn forward(name: &'static str, files: &'static [File]) -> Kernel {
    Kernel { name, files, bindings: &[Read, Read, Read, ReadWrite, ReadWrite], variants: TILES }
}

const fn backward_query(name: &'static str, files: &'static [File]) -> Kernel {
    Kernel { name, files, bindings: &[Read, Read, Read, Read, Read, ReadWrite], variants: TILES }
}

const fn backward_key(name: &'static str, files: &'static [File]) -> Kernel {
    Kernel { name, files, bindings: &[Read, Read, Read, Read, Read, ReadWrite, ReadWrite], variants: TILES }
}

const fn step_part(name: &'static str, files: &'static [File]) -> Kernel {
    Kernel { name, files, bindings: &[Read, Read, Read, ReadWrite], variants: STEPS }
}

/// Output and log-sum-exp of every row, by how rows are read: for a head_dim that is a multiple of 4, and for any.
pub static FORWARD: [Kernel; 2] = [
    forward("attention/forward_vector", &[INDEX, FLOAT, SIZES, ROWS, VECTOR, TILE, file!("attention/forward.wgsl")]),
    forward("attention/forward_scalar", &[INDEX, FLOAT, SIZES, ROWS, SCALAR, TILE, file!("attention/forward.wgsl")]),
];
/// What the backward needs of every row.
pub static TERMS: Kernel = Kernel {
    name: "attention/terms",
    files: &[INDEX, SIZES, file!("attention/terms.wgsl")],
    bindings: &[Read, Read, Read, ReadWrite],
    variants: &[&[]],
};
/// The gradient of the query, likewise.
pub static BACKWARD_QUERY: [Kernel; 2] = [
    backward_query(
        "attention/backward_query_vector",
        &[INDEX, FLOAT, SIZES, ROWS, VECTOR, TILE, file!("attention/backward_query.wgsl")],
    ),
    backward_query(
        "attention/backward_query_scalar",
        &[INDEX, FLOAT, SIZES, ROWS, SCALAR, TILE, file!("attention/backward_query.wgsl")],
    ),
];
/// The gradients of key and value, likewise.
pub static BACKWARD_KEY: [Kernel; 2] = [
    backward_key(
        "attention/backward_key_vector",
        &[INDEX, FLOAT, SIZES, ROWS, VECTOR, TILE, file!("attention/backward_key.wgsl")],
    ),
    backward_key(
        "attention/backward_key_scalar",
        &[INDEX, FLOAT, SIZES, ROWS, SCALAR, TILE, file!("attention/backward_key.wgsl")],
    ),
];
/// A single query against a part of the keys, likewise.
pub static STEP_PART: [Kernel; 2] = [
    step_part("attention/step_part_vector", &[INDEX, FLOAT, SIZES, ROWS, VECTOR, file!("attention/step_part.wgsl")]),
    step_part("attention/step_part_scalar", &[INDEX, FLOAT, SIZES, ROWS, SCALAR, file!("attention/step_part.wgsl")]),
];
/// The parts joined.
pub static STEP_MERGE: Kernel = Kernel {
    name: "attention/step_merge",
    files: &[INDEX, FLOAT, SIZES, file!("attention/step_merge.wgsl")],
    bindings: &[Read, ReadWrite, ReadWrite],
    variants: &[&[]],
};
pub(super) const ALL: &[&Kernel] = &[
    &FORWARD[0],
    &FORWARD[1],
    &TERMS,
    &BACKWARD_QUERY[0],
    &BACKWARD_QUERY[1],
    &BACKWARD_KEY[0],
    &BACKWARD_KEY[1],
    &STEP_PART[0],
    &STEP_PART[1],
    &STEP_MERGE,
];
