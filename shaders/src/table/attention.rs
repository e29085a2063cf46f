//! Causal attention. Constants of the kernels that work in tiles: `TX` invocations across, `SLICES` of 4 TX columns that
//! cover head_dim, of which `SPAN`, 16 / TX at most, at a time; of single steps: `SLICES` of 64 columns.
//!
//! What reads the first keys of documents comes in two kernels, without and with them, the latter with their binding as
//! the constant `FIRST_KEYS`; the kernels of the gradients find them in the terms and have the constant `DOCUMENTS`.
//! Operands are read in two ways: by vectors for a head_dim that is a multiple of 4, by single elements for any. The kernels
//! on matrix units have `HEAD_DIM`, a multiple of 16 up to 128, and `EACH`, the rows a subgroup keeps: 16, or in the gradients'
//! up to a head_dim of 64 also 32.

use super::*;

const SIZES: File = file!("attention/sizes.wgsl");
const WHOLE: File = file!("attention/whole.wgsl");
const DOCUMENTS: File = file!("attention/documents.wgsl");
const REPORT: File = file!("attention/report.wgsl");
const ROWS: File = file!("attention/rows.wgsl");
const VECTOR: File = file!("attention/load_vector.wgsl");
const SCALAR: File = file!("attention/load_scalar.wgsl");
const TILE: File = file!("attention/tile.wgsl");
const FORWARD_FILE: File = file!("attention/forward.wgsl");
const TERMS_FILE: File = file!("attention/terms.wgsl");
const QUERY_FILE: File = file!("attention/backward_query.wgsl");
const KEY_FILE: File = file!("attention/backward_key.wgsl");
const STEP_FILE: File = file!("attention/step_part.wgsl");
const UNITS_TILE: File = file!("attention/cooperative/tile.wgsl");
const UNITS_WEIGH: File = file!("attention/cooperative/weigh.wgsl");
const UNITS_FORWARD: File = file!("attention/cooperative/forward.wgsl");
const UNITS_QUERY: File = file!("attention/cooperative/backward_query.wgsl");
const UNITS_KEY: File = file!("attention/cooperative/backward_key.wgsl");

macro_rules! tiles {
    ($($constant:expr),*) => {
        &[
            $(&[("TX", 8), ("SPAN", 1), ("SLICES", 1), $constant],
            &[("TX", 8), ("SPAN", 2), ("SLICES", 2), $constant],
            &[("TX", 8), ("SPAN", 2), ("SLICES", 4), $constant],
            &[("TX", 16), ("SPAN", 1), ("SLICES", 3), $constant],
            &[("TX", 16), ("SPAN", 1), ("SLICES", 4), $constant],)*
        ]
    };
}

macro_rules! steps {
    ($constant:expr) => {
        &[
            &[("SLICES", 1), $constant],
            &[("SLICES", 2), $constant],
            &[("SLICES", 3), $constant],
            &[("SLICES", 4), $constant],
        ]
    };
}

macro_rules! units {
    (forward $constant:expr) => {
        &[
            &[("HEAD_DIM", 16), ("EACH", 16), $constant],
            &[("HEAD_DIM", 64), ("EACH", 16), $constant],
            &[("HEAD_DIM", 80), ("EACH", 16), $constant],
            &[("HEAD_DIM", 128), ("EACH", 16), $constant],
        ]
    };
    ($($constant:expr),*) => {
        &[
            $(&[("HEAD_DIM", 16), ("EACH", 32), $constant],
            &[("HEAD_DIM", 48), ("EACH", 32), $constant],
            &[("HEAD_DIM", 64), ("EACH", 16), $constant],
            &[("HEAD_DIM", 64), ("EACH", 32), $constant],
            &[("HEAD_DIM", 80), ("EACH", 16), $constant],
            &[("HEAD_DIM", 128), ("EACH", 16), $constant],)*
        ]
    };
}

const fn forward(name: &'static str, files: &'static [File]) -> Kernel {
    let bindings = &[Read, Read, Read, ReadWrite, ReadWrite];
    Kernel { name, files, bindings, variants: tiles!(("FIRST_KEYS", 0)) }
}

const fn forward_documents(name: &'static str, files: &'static [File]) -> Kernel {
    let bindings = &[Read, Read, Read, ReadWrite, ReadWrite, Read, ReadWrite];
    Kernel { name, files, bindings, variants: tiles!(("FIRST_KEYS", 6)) }
}

const fn backward_query(name: &'static str, files: &'static [File]) -> Kernel {
    let bindings = &[Read, Read, Read, Read, Read, ReadWrite];
    Kernel { name, files, bindings, variants: tiles!(("DOCUMENTS", 0), ("DOCUMENTS", 1)) }
}

const fn backward_key(name: &'static str, files: &'static [File]) -> Kernel {
    let bindings = &[Read, Read, Read, Read, Read, ReadWrite, ReadWrite];
    Kernel { name, files, bindings, variants: tiles!(("DOCUMENTS", 0), ("DOCUMENTS", 1)) }
}

const fn step_part(name: &'static str, files: &'static [File]) -> Kernel {
    Kernel { name, files, bindings: &[Read, Read, Read, ReadWrite], variants: steps!(("FIRST_KEYS", 0)) }
}

const fn step_part_documents(name: &'static str, files: &'static [File]) -> Kernel {
    let bindings = &[Read, Read, Read, ReadWrite, Read, ReadWrite];
    Kernel { name, files, bindings, variants: steps!(("FIRST_KEYS", 5)) }
}

/// Output and normalizers of every row: by documents, then by how operands are read.
pub static FORWARD: [[Kernel; 2]; 2] = [
    [
        forward("attention/forward_vector", &[INDEX, FLOAT, SIZES, WHOLE, ROWS, VECTOR, TILE, FORWARD_FILE]),
        forward("attention/forward_scalar", &[INDEX, FLOAT, SIZES, WHOLE, ROWS, SCALAR, TILE, FORWARD_FILE]),
    ],
    [
        forward_documents(
            "attention/forward_documents_vector",
            &[INDEX, FLOAT, SIZES, FAULTS, DOCUMENTS, REPORT, ROWS, VECTOR, TILE, FORWARD_FILE],
        ),
        forward_documents(
            "attention/forward_documents_scalar",
            &[INDEX, FLOAT, SIZES, FAULTS, DOCUMENTS, REPORT, ROWS, SCALAR, TILE, FORWARD_FILE],
        ),
    ],
];
/// What the backward needs of every row, by documents.
pub static TERMS: [Kernel; 2] = [
    Kernel {
        name: "attention/terms",
        files: &[INDEX, SIZES, WHOLE, TERMS_FILE],
        bindings: &[Read, Read, Read, ReadWrite],
        variants: &[&[("FIRST_KEYS", 0)]],
    },
    Kernel {
        name: "attention/terms_documents",
        files: &[INDEX, SIZES, DOCUMENTS, TERMS_FILE],
        bindings: &[Read, Read, Read, ReadWrite, Read],
        variants: &[&[("FIRST_KEYS", 5)]],
    },
];
/// The gradient of the query, by how operands are read.
pub static BACKWARD_QUERY: [Kernel; 2] = [
    backward_query("attention/backward_query_vector", &[INDEX, FLOAT, SIZES, ROWS, VECTOR, TILE, QUERY_FILE]),
    backward_query("attention/backward_query_scalar", &[INDEX, FLOAT, SIZES, ROWS, SCALAR, TILE, QUERY_FILE]),
];
/// The gradients of key and value, likewise.
pub static BACKWARD_KEY: [Kernel; 2] = [
    backward_key("attention/backward_key_vector", &[INDEX, FLOAT, SIZES, ROWS, VECTOR, TILE, KEY_FILE]),
    backward_key("attention/backward_key_scalar", &[INDEX, FLOAT, SIZES, ROWS, SCALAR, TILE, KEY_FILE]),
];
/// A single query against a part of the keys: by documents, then by how operands are read.
pub static STEP_PART: [[Kernel; 2]; 2] = [
    [
        step_part("attention/step_part_vector", &[INDEX, FLOAT, SIZES, WHOLE, ROWS, VECTOR, STEP_FILE]),
        step_part("attention/step_part_scalar", &[INDEX, FLOAT, SIZES, WHOLE, ROWS, SCALAR, STEP_FILE]),
    ],
    [
        step_part_documents(
            "attention/step_part_documents_vector",
            &[INDEX, FLOAT, SIZES, FAULTS, DOCUMENTS, REPORT, ROWS, VECTOR, STEP_FILE],
        ),
        step_part_documents(
            "attention/step_part_documents_scalar",
            &[INDEX, FLOAT, SIZES, FAULTS, DOCUMENTS, REPORT, ROWS, SCALAR, STEP_FILE],
        ),
    ],
];
/// The parts joined.
pub static STEP_MERGE: Kernel = Kernel {
    name: "attention/step_merge",
    files: &[INDEX, FLOAT, SIZES, file!("attention/step_merge.wgsl")],
    bindings: &[Read, ReadWrite, ReadWrite],
    variants: &[&[]],
};
/// Output and normalizers on matrix units, by documents.
pub static FORWARD_UNITS: [Kernel; 2] = [
    Kernel {
        name: "attention/units_forward",
        files: &[INDEX, FLOAT, ROUGH, COOPERATIVE, SIZES, WHOLE, UNITS_TILE, UNITS_WEIGH, UNITS_FORWARD],
        bindings: &[Read, Read, Read, ReadWrite, ReadWrite],
        variants: units!(forward("FIRST_KEYS", 0)),
    },
    Kernel {
        name: "attention/units_forward_documents",
        files: &[
            INDEX,
            FLOAT,
            ROUGH,
            COOPERATIVE,
            SIZES,
            FAULTS,
            DOCUMENTS,
            REPORT,
            UNITS_TILE,
            UNITS_WEIGH,
            UNITS_FORWARD,
        ],
        bindings: &[Read, Read, Read, ReadWrite, ReadWrite, Read, ReadWrite],
        variants: units!(forward("FIRST_KEYS", 6)),
    },
];
/// The gradient of the query on matrix units.
pub static BACKWARD_QUERY_UNITS: Kernel = Kernel {
    name: "attention/units_backward_query",
    files: &[INDEX, ROUGH, COOPERATIVE, SIZES, UNITS_TILE, UNITS_QUERY],
    bindings: &[Read, Read, Read, Read, Read, ReadWrite],
    variants: units!(("DOCUMENTS", 0), ("DOCUMENTS", 1)),
};
/// The gradients of key and value on matrix units.
pub static BACKWARD_KEY_UNITS: Kernel = Kernel {
    name: "attention/units_backward_key",
    files: &[INDEX, ROUGH, COOPERATIVE, SIZES, UNITS_TILE, UNITS_KEY],
    bindings: &[Read, Read, Read, Read, Read, ReadWrite, ReadWrite],
    variants: units!(("DOCUMENTS", 0), ("DOCUMENTS", 1)),
};
pub(super) const ALL: &[&Kernel] = &[
    &FORWARD[0][0],
    &FORWARD[0][1],
    &FORWARD[1][0],
    &FORWARD[1][1],
    &TERMS[0],
    &TERMS[1],
    &BACKWARD_QUERY[0],
    &BACKWARD_QUERY[1],
    &BACKWARD_KEY[0],
    &BACKWARD_KEY[1],
    &STEP_PART[0][0],
    &STEP_PART[0][1],
    &STEP_PART[1][0],
    &STEP_PART[1][1],
    &STEP_MERGE,
    &FORWARD_UNITS[0],
    &FORWARD_UNITS[1],
    &BACKWARD_QUERY_UNITS,
    &BACKWARD_KEY_UNITS,
];
