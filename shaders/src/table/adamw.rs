//! The norm of all gradients, the step state and AdamW.

use super::*;

const FLOAT: File = file!("prelude/float.wgsl");
const STATE: File = file!("adamw/step_state.wgsl");

const SUM_FILE: File = file!("adamw/sum_of_squares.wgsl");
const RULE: File = file!("adamw/rule.wgsl");

/// Partial sums of squares of one large gradient.
pub static SUM_OF_SQUARES: Kernel = Kernel {
    name: "adamw/sum_of_squares",
    files: &[INDEX, FLOAT, STATE, file!("adamw/one_gradient.wgsl"), SUM_FILE],
    bindings: &[ReadWrite, Read],
    variants: &[&[]],
};
/// Partial sums of squares of up to six gradients.
pub static SUM_OF_SIX: Kernel = Kernel {
    name: "adamw/sum_of_squares_six",
    files: &[INDEX, FLOAT, STATE, file!("adamw/six_gradients.wgsl"), SUM_FILE],
    bindings: &[ReadWrite, Read, Read, Read, Read, Read, Read],
    variants: &[&[]],
};
/// The norm, what the step does, and the next loss scale.
pub static FINISH: Kernel = Kernel {
    name: "adamw/finish",
    files: &[FLOAT, STATE, file!("adamw/finish.wgsl")],
    bindings: &[Read, ReadWrite, ReadWrite],
    variants: &[&[]],
};
/// The update of one large tensor.
pub static UPDATE: Kernel = Kernel {
    name: "adamw/update",
    files: &[INDEX, STATE, RULE, file!("adamw/update.wgsl")],
    bindings: &[Read, Read, ReadWrite, ReadWrite, ReadWrite],
    variants: &[&[]],
};
/// The update of two small tensors.
pub static UPDATE_TWO: Kernel = Kernel {
    name: "adamw/update_two",
    files: &[INDEX, STATE, RULE, file!("adamw/update_two.wgsl")],
    bindings: &[Read, Read, ReadWrite, ReadWrite, Read, ReadWrite, ReadWrite],
    variants: &[&[]],
};
pub(super) const ALL: &[&Kernel] = &[&SUM_OF_SQUARES, &SUM_OF_SIX, &FINISH, &UPDATE, &UPDATE_TWO];
