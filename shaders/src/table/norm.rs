//! Normalisation of rows. Kernels in pairs read rows by single elements and by fours.

use super::*;

const FORWARD_FILE: File = file!("norm/forward.wgsl");
const BACKWARD_FILE: File = file!("norm/backward.wgsl");
const OUTPUT_PLAIN: File = file!("norm/output_plain.wgsl");
const OUTPUT_GATED: File = file!("norm/output_gated.wgsl");
const GRADIENT_PLAIN: File = file!("norm/gradient_plain.wgsl");
const GRADIENT_GATED: File = file!("norm/gradient_gated.wgsl");
const VARIANTS: &[&[Constant]] = &[
    &[("SPAN", 8), ("KEPT", 1), ("CENTRED", 0)],
    &[("SPAN", 32), ("KEPT", 1), ("CENTRED", 1)],
    &[("SPAN", 128), ("KEPT", 1), ("CENTRED", 0)],
    &[("SPAN", 256), ("KEPT", 1), ("CENTRED", 1)],
    &[("SPAN", 256), ("KEPT", 16), ("CENTRED", 1)],
    &[("SPAN", 32), ("KEPT", 4), ("CENTRED", 0)],
    &[("SPAN", 64), ("KEPT", 2), ("CENTRED", 0)],
    &[("SPAN", 64), ("KEPT", 4), ("CENTRED", 1)],
];

const fn kernel(name: &'static str, files: &'static [File], bindings: &'static [Access]) -> Kernel {
    Kernel { name, files, bindings, variants: VARIANTS }
}

const FORWARD_BINDINGS: &[Access] = &[Read, Read, ReadWrite];
const FORWARD_GATED_BINDINGS: &[Access] = &[Read, Read, ReadWrite, Read];
const BACKWARD_BINDINGS: &[Access] = &[Read, Read, Read, ReadWrite, ReadWrite];
const BACKWARD_GATED_BINDINGS: &[Access] = &[Read, Read, Read, ReadWrite, ReadWrite, Read, ReadWrite];

/// y from x and weight.
pub static FORWARD: [Kernel; 2] = [
    kernel("norm/forward_1", &[INDEX, FLOAT, PACK_1, ROW_SUMS, OUTPUT_PLAIN, FORWARD_FILE], FORWARD_BINDINGS),
    kernel("norm/forward_4", &[INDEX, FLOAT, PACK_4, ROW_SUMS, OUTPUT_PLAIN, FORWARD_FILE], FORWARD_BINDINGS),
];
/// y from x, weight and gate.
pub static FORWARD_GATED: [Kernel; 2] = [
    kernel(
        "norm/forward_gated_1",
        &[INDEX, FLOAT, PACK_1, ROW_SUMS, OUTPUT_GATED, FORWARD_FILE],
        FORWARD_GATED_BINDINGS,
    ),
    kernel(
        "norm/forward_gated_4",
        &[INDEX, FLOAT, PACK_4, ROW_SUMS, OUTPUT_GATED, FORWARD_FILE],
        FORWARD_GATED_BINDINGS,
    ),
];
/// d_x and partial sums of d_weight.
pub static BACKWARD: [Kernel; 2] = [
    kernel("norm/backward_1", &[INDEX, FLOAT, PACK_1, ROW_SUMS, GRADIENT_PLAIN, BACKWARD_FILE], BACKWARD_BINDINGS),
    kernel("norm/backward_4", &[INDEX, FLOAT, PACK_4, ROW_SUMS, GRADIENT_PLAIN, BACKWARD_FILE], BACKWARD_BINDINGS),
];
/// d_x, d_gate and partial sums of d_weight.
pub static BACKWARD_GATED: [Kernel; 2] = [
    kernel(
        "norm/backward_gated_1",
        &[INDEX, FLOAT, PACK_1, ROW_SUMS, GRADIENT_GATED, BACKWARD_FILE],
        BACKWARD_GATED_BINDINGS,
    ),
    kernel(
        "norm/backward_gated_4",
        &[INDEX, FLOAT, PACK_4, ROW_SUMS, GRADIENT_GATED, BACKWARD_FILE],
        BACKWARD_GATED_BINDINGS,
    ),
];
/// The sum of the partial sums.
pub static COLUMN_SUM: Kernel = Kernel {
    name: "norm/column_sum",
    files: &[INDEX, file!("norm/column_sum.wgsl")],
    bindings: &[Read, ReadWrite],
    variants: &[&[]],
};
pub(super) const ALL: &[&Kernel] = &[
    &FORWARD[0],
    &FORWARD[1],
    &FORWARD_GATED[0],
    &FORWARD_GATED[1],
    &BACKWARD[0],
    &BACKWARD[1],
    &BACKWARD_GATED[0],
    &BACKWARD_GATED[1],
    &COLUMN_SUM,
];
