//! The choice of the next token.

use super::*;

const SETTLE: File = file!("sampling/settle.wgsl");

/// Tokens and reports from logits, given tokens and the state.
pub static CHOOSE: Kernel = Kernel {
    name: "sampling/choose",
    files: &[INDEX, FLOAT, PHILOX, ROW_SUMS, ROW_HIGHEST, SETTLE, file!("sampling/choose.wgsl")],
    bindings: &[Read, Read, ReadWrite, ReadWrite, ReadWrite],
    variants: &[&[("SPAN", 256)]],
};
/// The largest logit of each stretch of a row.
pub static LEADERS: Kernel = Kernel {
    name: "sampling/leaders",
    files: &[INDEX, FLOAT, ROW_SUMS, ROW_HIGHEST, file!("sampling/leaders.wgsl")],
    bindings: &[Read, ReadWrite],
    variants: &[&[("SPAN", 256)]],
};
/// The largest of all, as tokens and reports.
pub static LEAD: Kernel = Kernel {
    name: "sampling/lead",
    files: &[INDEX, FLOAT, ROW_SUMS, ROW_HIGHEST, SETTLE, file!("sampling/lead.wgsl")],
    bindings: &[Read, Read, ReadWrite, ReadWrite, ReadWrite],
    variants: &[&[("SPAN", 256)]],
};
pub(super) const ALL: &[&Kernel] = &[&CHOOSE, &LEADERS, &LEAD];
