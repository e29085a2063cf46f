//! The table of all programs, one file an operation.

use crate::Access::{Read, ReadWrite};
use crate::{Constant, File, Kernel};

macro_rules! file {
    ($path:literal) => {
        File { path: $path, text: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/", $path)) }
    };
}

const INDEX: File = file!("prelude/index.wgsl");

pub mod adamw;
pub mod arithmetic;
pub mod attention;
pub mod embedding;
pub mod matmul;
pub mod rotary;

/// Every program by operation, for the tests that translate and lint them all.
#[rustfmt::skip] // one a line
pub const ALL: &[&[&Kernel]] = &[
    adamw::ALL,
    arithmetic::ALL,
    attention::ALL,
    embedding::ALL,
    matmul::ALL,
    rotary::ALL,
];
