//! Rows of a table by index, and the sum over equal indices that is its gradient.

use super::*;

const fn kernel(name: &'static str, files: &'static [File], bindings: &'static [crate::Access]) -> Kernel {
    Kernel { name, files, bindings, variants: &[&[]] }
}

/// y = table[ids]
pub static FORWARD: Kernel =
    kernel("embedding/forward", &[INDEX, FAULTS, file!("embedding/forward.wgsl")], &[Read, Read, ReadWrite, ReadWrite]);
/// Positions sorted by id.
pub static RANK: Kernel = kernel("embedding/rank", &[INDEX, file!("embedding/rank.wgsl")], &[Read, ReadWrite]);
/// Where each id starts in sorted order.
pub static STARTS: Kernel = kernel("embedding/starts", &[INDEX, file!("embedding/starts.wgsl")], &[Read, ReadWrite]);
/// The sum over equal ids.
pub static BACKWARD: Kernel = Kernel {
    variants: &[&[("SPLITS", 2)], &[("SPLITS", 8)]],
    ..kernel("embedding/backward", &[INDEX, file!("embedding/backward.wgsl")], &[Read, Read, Read, ReadWrite])
};
pub(super) const ALL: &[&Kernel] = &[&FORWARD, &RANK, &STARTS, &BACKWARD];
