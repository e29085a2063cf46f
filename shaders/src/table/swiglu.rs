//! SwiGLU. Kernels in pairs work on single elements and on fours.

use super::*;

const FORWARD_FILE: File = file!("swiglu/forward.wgsl");
const BACKWARD_FILE: File = file!("swiglu/backward.wgsl");
const SEPARATE: File = file!("swiglu/separate.wgsl");
const SEPARATE_GRADIENTS: File = file!("swiglu/separate_gradients.wgsl");
const PACKED: File = file!("swiglu/packed.wgsl");
const PACKED_GRADIENTS: File = file!("swiglu/packed_gradients.wgsl");

const fn kernel(name: &'static str, files: &'static [File], bindings: &'static [Access]) -> Kernel {
    Kernel { name, files, bindings, variants: &[&[]] }
}

/// y from gate and up.
pub static FORWARD: [Kernel; 2] = [
    kernel("swiglu/forward_1", &[INDEX, FLOAT, PACK_1, SEPARATE, FORWARD_FILE], &[ReadWrite, Read, Read]),
    kernel("swiglu/forward_4", &[INDEX, FLOAT, PACK_4, SEPARATE, FORWARD_FILE], &[ReadWrite, Read, Read]),
];
/// y from gate and up side by side.
pub static FORWARD_PACKED: [Kernel; 2] = [
    kernel("swiglu/forward_packed_1", &[INDEX, FLOAT, PACK_1, PACKED, FORWARD_FILE], &[ReadWrite, Read]),
    kernel("swiglu/forward_packed_4", &[INDEX, FLOAT, PACK_4, PACKED, FORWARD_FILE], &[ReadWrite, Read]),
];
/// d_gate and d_up.
pub static BACKWARD: [Kernel; 2] = [
    kernel(
        "swiglu/backward_1",
        &[INDEX, FLOAT, PACK_1, SEPARATE, SEPARATE_GRADIENTS, BACKWARD_FILE],
        &[Read, Read, Read, ReadWrite, ReadWrite],
    ),
    kernel(
        "swiglu/backward_4",
        &[INDEX, FLOAT, PACK_4, SEPARATE, SEPARATE_GRADIENTS, BACKWARD_FILE],
        &[Read, Read, Read, ReadWrite, ReadWrite],
    ),
];
/// d_gate and d_up side by side.
pub static BACKWARD_PACKED: [Kernel; 2] = [
    kernel(
        "swiglu/backward_packed_1",
        &[INDEX, FLOAT, PACK_1, PACKED, PACKED_GRADIENTS, BACKWARD_FILE],
        &[Read, Read, ReadWrite],
    ),
    kernel(
        "swiglu/backward_packed_4",
        &[INDEX, FLOAT, PACK_4, PACKED, PACKED_GRADIENTS, BACKWARD_FILE],
        &[Read, Read, ReadWrite],
    ),
];
pub(super) const ALL: &[&Kernel] = &[
    &FORWARD[0],
    &FORWARD[1],
    &FORWARD_PACKED[0],
    &FORWARD_PACKED[1],
    &BACKWARD[0],
    &BACKWARD[1],
    &BACKWARD_PACKED[0],
    &BACKWARD_PACKED[1],
];
