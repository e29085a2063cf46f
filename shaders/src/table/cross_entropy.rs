//! Cross-entropy of logits, and of blocks of them that become their gradients.

use super::*;

const ROW: File = file!("cross_entropy/row.wgsl");

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
    files: &[INDEX, FLOAT, FAULTS, ROW, file!("cross_entropy/rows.wgsl")],
    bindings: &[ReadWrite, Read, Read, ReadWrite, ReadWrite],
    variants: &[&[("GRADIENTS", 0), ("SPAN", 256)], &[("GRADIENTS", 1), ("SPAN", 256)]],
};
/// Loss and log-sum-exp of each row.
pub static FORWARD: Kernel = Kernel {
    name: "cross_entropy/forward",
    files: &[INDEX, FLOAT, FAULTS, ROW, file!("cross_entropy/forward.wgsl")],
    bindings: &[Read, Read, ReadWrite, ReadWrite, ReadWrite, ReadWrite],
    variants: &[&[("SPAN", 8)], &[("SPAN", 32)], &[("SPAN", 256)]],
};
/// Their gradients.
pub static BACKWARD: Kernel = Kernel {
    name: "cross_entropy/backward",
    files: &[INDEX, FLOAT, file!("cross_entropy/backward.wgsl")],
    bindings: &[Read, Read, Read, Read, Read, Read, ReadWrite],
    variants: &[
        &[("PER_ROW", 0), ("LOSS", 1), ("LOG_SUM_EXP", 0)],
        &[("PER_ROW", 0), ("LOSS", 1), ("LOG_SUM_EXP", 1)],
        &[("PER_ROW", 1), ("LOSS", 1), ("LOG_SUM_EXP", 0)],
        &[("PER_ROW", 1), ("LOSS", 1), ("LOG_SUM_EXP", 1)],
        &[("PER_ROW", 0), ("LOSS", 0), ("LOG_SUM_EXP", 1)],
    ],
};
/// The sum of the rows' losses, or their mean.
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
pub(super) const ALL: &[&Kernel] = &[&KEPT, &ROWS, &FORWARD, &BACKWARD, &MEAN, &SCALE];
