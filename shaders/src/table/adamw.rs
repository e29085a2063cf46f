//! The norm of all gradients, the step state and AdamW.

use super::*;

const FLOAT: File = file!("prelude/float.wgsl");
const STATE: File = file!("adamw/step_state.wgsl");

/// Partial sums of squares of one gradient.
pub static SUM_OF_SQUARES: Kernel = Kernel {
    name: "adamw/sum_of_squares",
    files: &[INDEX, FLOAT, STATE, file!("adamw/sum_of_squares.wgsl")],
    bindings: &[Read, ReadWrite],
    variants: &[&[]],
};
/// The norm, and what the step does.
pub static FINISH: Kernel = Kernel {
    name: "adamw/finish",
    files: &[FLOAT, STATE, file!("adamw/finish.wgsl")],
    bindings: &[Read, ReadWrite],
    variants: &[&[]],
};
/// The update of one tensor.
pub static UPDATE: Kernel = Kernel {
    name: "adamw/update",
    files: &[INDEX, STATE, file!("adamw/update.wgsl")],
    bindings: &[Read, Read, ReadWrite, ReadWrite, ReadWrite],
    variants: &[&[]],
};
pub(super) const ALL: &[&Kernel] = &[&SUM_OF_SQUARES, &FINISH, &UPDATE];
