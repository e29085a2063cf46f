//! The choice of the next token.

use super::*;

/// Tokens and reports from logits, given tokens and the state.
pub static CHOOSE: Kernel = Kernel {
    name: "sampling/choose",
    files: &[INDEX, FLOAT, PHILOX, ROW_SUMS, ROW_HIGHEST, file!("sampling/choose.wgsl")],
    bindings: &[Read, Read, ReadWrite, ReadWrite, ReadWrite],
    variants: &[&[("SPAN", 256)]],
};
pub(super) const ALL: &[&Kernel] = &[&CHOOSE];
