//! Elements by index along a dimension, and the sum over equal indices that is its gradient.

use super::*;

const LAYOUT: File = file!("gather/layout.wgsl");

/// y from x and the index.
pub static FORWARD: Kernel = Kernel {
    name: "gather/forward",
    files: &[INDEX, FAULTS, LAYOUT, file!("gather/forward.wgsl")],
    bindings: &[Read, Read, ReadWrite, ReadWrite],
    variants: &[&[]],
};
/// d_x from the index and d_y.
pub static BACKWARD: Kernel = Kernel {
    name: "gather/backward",
    files: &[INDEX, LAYOUT, file!("gather/backward.wgsl")],
    bindings: &[Read, Read, ReadWrite],
    variants: &[&[]],
};
pub(super) const ALL: &[&Kernel] = &[&FORWARD, &BACKWARD];
