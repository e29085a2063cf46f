//! The mLSTM cell, chunkwise, and its single step.

use super::*;

const FLOAT: File = file!("prelude/float.wgsl");
const LAYOUT: File = file!("mlstm/layout.wgsl");
const STATES_PASS: File = file!("mlstm/states.wgsl");
const DECAY: File = file!("mlstm/decay.wgsl");
const TILES: File = file!("mlstm/tiles.wgsl");

const fn kernel(name: &'static str, files: &'static [File], bindings: &'static [crate::Access]) -> Kernel {
    Kernel { name, files, bindings, variants: &[&[]] }
}

/// A kernel that knows which function the input gate is.
const fn of_gate(name: &'static str, files: &'static [File], bindings: &'static [crate::Access]) -> Kernel {
    Kernel { name, files, bindings, variants: &[&[("SIGMOID", 0)], &[("SIGMOID", 1)]] }
}

/// A kernel that divides by D, or not.
const fn of_output(name: &'static str, files: &'static [File], bindings: &'static [crate::Access]) -> Kernel {
    Kernel { name, files, bindings, variants: &[&[("NORMALIZE", 0)], &[("NORMALIZE", 1)]] }
}

/// Sums of ln f inside each chunk.
pub static GATES: Kernel =
    of_gate("mlstm/gates", &[INDEX, FLOAT, LAYOUT, file!("mlstm/gates.wgsl")], &[Read, Read, Read, ReadWrite]);
/// The states at all chunk borders.
pub static STATES: Kernel = kernel(
    "mlstm/states",
    &[INDEX, FLOAT, LAYOUT, file!("mlstm/states_forward.wgsl"), STATES_PASS],
    &[Read, Read, Read, ReadWrite],
);
/// The gradients of the states at all chunk borders.
pub static D_STATES: Kernel = kernel(
    "mlstm/d_states",
    &[INDEX, FLOAT, LAYOUT, file!("mlstm/states_backward.wgsl"), STATES_PASS],
    &[Read, Read, Read, Read, Read, ReadWrite],
);
/// h and den.
pub static OUTPUT: Kernel = of_output(
    "mlstm/output",
    &[INDEX, FLOAT, LAYOUT, file!("mlstm/output.wgsl"), DECAY, TILES],
    &[Read, Read, Read, Read, Read, ReadWrite, ReadWrite],
);
const SIX_TO_ONE: &[crate::Access] = &[Read, Read, Read, Read, Read, Read, ReadWrite];
/// The query's gradient.
pub static D_QUERY: Kernel =
    kernel("mlstm/d_query", &[INDEX, FLOAT, LAYOUT, file!("mlstm/d_query.wgsl"), DECAY, TILES], SIX_TO_ONE);
/// The key's gradient.
pub static D_KEY: Kernel =
    kernel("mlstm/d_key", &[INDEX, FLOAT, LAYOUT, file!("mlstm/d_key.wgsl"), DECAY, TILES], SIX_TO_ONE);
/// The value's gradient.
pub static D_VALUE: Kernel =
    kernel("mlstm/d_value", &[INDEX, FLOAT, LAYOUT, file!("mlstm/d_value.wgsl"), DECAY, TILES], SIX_TO_ONE);
/// What the backward needs of each position.
pub static ROWS: Kernel = of_output(
    "mlstm/rows",
    &[INDEX, FLOAT, LAYOUT, file!("mlstm/rows.wgsl")],
    &[Read, Read, Read, Read, Read, ReadWrite],
);
/// The input gate's gradient and the terms of the forget gate's.
pub static GATE_TERMS: Kernel = of_gate(
    "mlstm/gate_terms",
    &[INDEX, FLOAT, LAYOUT, file!("mlstm/gate_terms.wgsl")],
    &[Read, Read, Read, Read, Read, ReadWrite, ReadWrite],
);
/// Inner products of the states at the chunk borders with their gradients.
pub static INNER: Kernel = kernel("mlstm/inner", &[INDEX, LAYOUT, file!("mlstm/inner.wgsl")], &[Read, Read, ReadWrite]);
/// The forget gate's gradient.
pub static FORGET: Kernel = kernel(
    "mlstm/forget",
    &[INDEX, FLOAT, LAYOUT, file!("mlstm/forget.wgsl")],
    &[Read, Read, Read, Read, ReadWrite, ReadWrite, ReadWrite],
);
/// One position: the stabiliser and the factors.
pub static STEP_GATES: Kernel = of_gate(
    "mlstm/step_gates",
    &[INDEX, FLOAT, LAYOUT, file!("mlstm/step_gates.wgsl")],
    &[Read, Read, Read, Read, ReadWrite, ReadWrite],
);
/// One position: n and the denominator.
pub static STEP_NORMALIZER: Kernel = of_output(
    "mlstm/step_normalizer",
    &[INDEX, LAYOUT, file!("mlstm/step_normalizer.wgsl")],
    &[Read, Read, Read, ReadWrite, ReadWrite],
);
/// One position: C and h.
pub static STEP_MEMORY: Kernel = kernel(
    "mlstm/step_memory",
    &[INDEX, LAYOUT, file!("mlstm/step_memory.wgsl")],
    &[Read, Read, Read, Read, Read, ReadWrite, ReadWrite],
);
pub(super) const ALL: &[&Kernel] = &[
    &GATES,
    &STATES,
    &D_STATES,
    &OUTPUT,
    &D_QUERY,
    &D_KEY,
    &D_VALUE,
    &ROWS,
    &GATE_TERMS,
    &INNER,
    &FORGET,
    &STEP_GATES,
    &STEP_NORMALIZER,
    &STEP_MEMORY,
];
