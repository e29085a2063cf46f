//! Dropout.

use super::*;

/// y from x; dx from dy.
pub static FORWARD: Kernel = Kernel {
    name: "dropout/forward",
    files: &[INDEX, PHILOX, file!("dropout/forward.wgsl")],
    bindings: &[Read, ReadWrite],
    variants: &[&[]],
};
pub(super) const ALL: &[&Kernel] = &[&FORWARD];
