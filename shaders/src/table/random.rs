//! Random numbers.

use super::*;

/// Normal numbers as f16.
pub static NORMAL: Kernel = Kernel {
    name: "random/normal",
    files: &[INDEX, FLOAT, PHILOX, file!("random/normal.wgsl")],
    bindings: &[ReadWrite],
    variants: &[&[]],
};
pub(super) const ALL: &[&Kernel] = &[&NORMAL];
