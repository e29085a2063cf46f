//! Cross-entropy of blocks of logits.

use super::*;

/// One over the number of targets that count.
pub static KEPT: Kernel = Kernel {
    name: "cross_entropy/kept",
    files: &[file!("cross_entropy/kept.wgsl")],
    bindings: &[Read, ReadWrite],
    variants: &[&[]],
};
/// Loss of each row, gradients in place of the logits.
pub static ROWS: Kernel = Kernel {
    name: "cross_entropy/rows",
    files: &[INDEX, FLOAT, FAULTS, file!("cross_entropy/rows.wgsl")],
    bindings: &[ReadWrite, Read, Read, ReadWrite, ReadWrite],
    variants: &[&[("GRADIENTS", 0)], &[("GRADIENTS", 1)]],
};
/// The mean of the rows' losses.
pub static MEAN: Kernel = Kernel {
    name: "cross_entropy/mean",
    files: &[file!("cross_entropy/mean.wgsl")],
    bindings: &[Read, Read, ReadWrite],
    variants: &[&[]],
};
/// Saved gradients times the upstream one.
pub static SCALE: Kernel = Kernel {
    name: "cross_entropy/scale",
    files: &[INDEX, file!("cross_entropy/scale.wgsl")],
    bindings: &[Read, Read, ReadWrite],
    variants: &[&[]],
};
pub(super) const ALL: &[&Kernel] = &[&KEPT, &ROWS, &MEAN, &SCALE];
