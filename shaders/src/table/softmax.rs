//! Softmax and its logarithm over rows. Kernels in pairs read by single elements and by fours.

use super::*;

const FORWARD_FILE: File = file!("softmax/forward.wgsl");
const BACKWARD_FILE: File = file!("softmax/backward.wgsl");
const VARIANTS: &[&[Constant]] = &[
    &[("SPAN", 8), ("KEPT", 1), ("LOGARITHM", 0)],
    &[("SPAN", 64), ("KEPT", 4), ("LOGARITHM", 0)],
    &[("SPAN", 256), ("KEPT", 1), ("LOGARITHM", 1)],
    &[("SPAN", 256), ("KEPT", 16), ("LOGARITHM", 0)],
];

const fn kernel(name: &'static str, files: &'static [File], bindings: &'static [Access]) -> Kernel {
    Kernel { name, files, bindings, variants: VARIANTS }
}

/// y from x.
pub static FORWARD: [Kernel; 2] = [
    kernel("softmax/forward_1", &[INDEX, FLOAT, PACK_1, ROW_SUMS, ROW_HIGHEST, FORWARD_FILE], &[Read, ReadWrite]),
    kernel("softmax/forward_4", &[INDEX, FLOAT, PACK_4, ROW_SUMS, ROW_HIGHEST, FORWARD_FILE], &[Read, ReadWrite]),
];
/// d_x from y and d_y.
pub static BACKWARD: [Kernel; 2] = [
    kernel("softmax/backward_1", &[INDEX, FLOAT, PACK_1, ROW_SUMS, BACKWARD_FILE], &[Read, Read, ReadWrite]),
    kernel("softmax/backward_4", &[INDEX, FLOAT, PACK_4, ROW_SUMS, BACKWARD_FILE], &[Read, Read, ReadWrite]),
];
pub(super) const ALL: &[&Kernel] = &[&FORWARD[0], &FORWARD[1], &BACKWARD[0], &BACKWARD[1]];
