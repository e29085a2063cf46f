//! Parts along a dimension.

use super::*;

/// A window of columns, with zeros where there are none.
pub static WINDOW: Kernel = Kernel {
    name: "slice/window",
    files: &[INDEX, file!("slice/window.wgsl")],
    bindings: &[Read, ReadWrite],
    variants: &[&[]],
};
pub(super) const ALL: &[&Kernel] = &[&WINDOW];
