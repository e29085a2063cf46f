//! Causal attention. Constants: `TX`, 8 for a head_dim up to 32 and 16 above, and `SLICES`, head_dim / (4 TX) rounded up;
//! for single steps `SLICES` alone, head_dim / 64 rounded up.

use super::*;

const SIZES: File = file!("attention/sizes.wgsl");
const TILE: File = file!("attention/tile.wgsl");
const TILES: &[&[Constant]] = &[
    &[("TX", 8), ("SLICES", 1)],
    &[("TX", 16), ("SLICES", 1)],
    &[("TX", 16), ("SLICES", 2)],
    &[("TX", 16), ("SLICES", 3)],
    &[("TX", 16), ("SLICES", 4)],
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
