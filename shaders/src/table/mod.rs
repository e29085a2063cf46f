//! The table of all programs, one file an operation.

use crate::Access::{Read, ReadWrite};
use crate::{Access, Constant, File, Kernel};

macro_rules! file {
    ($path:expr) => {
        File { path: $path, text: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/", $path)) }
    };
}

/// Gives `flat_workgroup`: kernels that have it may be folded and split, see [`Kernel::splits`].
pub const INDEX: File = file!("prelude/index.wgsl");
/// Gives `report_index` for indices out of range.
pub const FAULTS: File = file!("prelude/faults.wgsl");
/// The counter-based random generator Philox4x32-10.
pub const PHILOX: File = file!("prelude/philox.wgsl");
/// Elementary functions that stay right for every finite argument.
pub const FLOAT: File = file!("prelude/float.wgsl");
/// Matrices that the GPU's matrix units multiply: kernels that have it are [`Kernel::cooperative`].
pub const COOPERATIVE: File = file!("prelude/cooperative.wgsl");
/// Powers of 2 for weights that are rounded to f16.
const ROUGH: File = file!("prelude/rough.wgsl");
const PACK_1: File = file!("prelude/pack_1.wgsl");
const PACK_4: File = file!("prelude/pack_4.wgsl");
const ROW_SUMS: File = file!("prelude/row_sums.wgsl");
const ROW_HIGHEST: File = file!("prelude/row_highest.wgsl");

pub mod adamw;
pub mod arithmetic;
pub mod attention;
pub mod cast;
pub mod cross_entropy;
pub mod decode;
pub mod dropout;
pub mod embedding;
pub mod gather;
pub mod ladder;
pub mod matmul;
pub mod mlstm;
pub mod norm;
pub mod permute;
pub mod random;
pub mod reduction;
pub mod rotary;
pub mod sampling;
pub mod slice;
pub mod softmax;
pub mod swiglu;
pub mod unary;

/// Every program by operation, for the tests that translate and lint them all.
#[rustfmt::skip] // one a line
pub const ALL: &[&[&Kernel]] = &[
    adamw::ALL,
    arithmetic::ALL,
    slice::ALL,
    permute::ALL,
    cast::ALL,
    softmax::ALL,
    reduction::ALL,
    mlstm::ALL,
    swiglu::ALL,
    unary::ALL,
    cross_entropy::ALL,
    norm::ALL,
    attention::ALL,
    decode::ALL,
    dropout::ALL,
    embedding::ALL,
    gather::ALL,
    ladder::ALL,
    matmul::ALL,
    rotary::ALL,
    random::ALL,
    sampling::ALL,
];
