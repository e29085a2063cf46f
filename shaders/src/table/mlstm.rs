//! The mLSTM cell, chunkwise, and its single step.

use super::*;

const FLOAT: File = file!("prelude/float.wgsl");
const LAYOUT: File = file!("mlstm/layout.wgsl");
const STATES_PASS: File = file!("mlstm/states.wgsl");
const DECAY: File = file!("mlstm/decay.wgsl");
const TILE_PANELS: File = file!("mlstm/tile_panels.wgsl");
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

/// A kernel of tiles of 64 columns, or of 128 where the device has more workgroup memory than the least one.
const fn in_tiles(name: &'static str, files: &'static [File]) -> Kernel {
    let bindings = &[Read, Read, Read, Read, Read, Read, ReadWrite];
    Kernel { name, files, bindings, variants: &[&[("WIDE", 1)], &[("WIDE", 2)]] }
}

/// Sums of ln f inside each chunk.
pub static GATES: Kernel =
    of_gate("mlstm/gates", &[INDEX, FLOAT, LAYOUT, file!("mlstm/gates.wgsl")], &[Read, Read, Read, ReadWrite]);
/// The states at all chunk borders.
pub static STATES: Kernel = Kernel {
    name: "mlstm/states",
    files: &[INDEX, FLOAT, LAYOUT, file!("mlstm/states_forward.wgsl"), STATES_PASS],
    bindings: &[Read, Read, Read, ReadWrite],
    variants: SIDES,
};
/// The gradients of the states at all chunk borders.
pub static D_STATES: Kernel = Kernel {
    name: "mlstm/d_states",
    files: &[INDEX, FLOAT, LAYOUT, file!("mlstm/states_backward.wgsl"), STATES_PASS],
    bindings: &[Read, Read, Read, Read, Read, ReadWrite],
    variants: SIDES,
};
/// h and den.
pub static OUTPUT: Kernel = Kernel {
    name: "mlstm/output",
    files: &[INDEX, FLOAT, LAYOUT, file!("mlstm/output.wgsl"), DECAY, TILE_PANELS, TILES],
    bindings: &[Read, Read, Read, Read, Read, ReadWrite, ReadWrite],
    variants: &[
        &[("NORMALIZE", 0), ("WIDE", 1)],
        &[("NORMALIZE", 0), ("WIDE", 2)],
        &[("NORMALIZE", 1), ("WIDE", 1)],
        &[("NORMALIZE", 1), ("WIDE", 2)],
    ],
};
/// The query's gradient.
pub static D_QUERY: Kernel =
    in_tiles("mlstm/d_query", &[INDEX, FLOAT, LAYOUT, file!("mlstm/d_query.wgsl"), DECAY, TILE_PANELS, TILES]);
/// The key's gradient.
pub static D_KEY: Kernel =
    in_tiles("mlstm/d_key", &[INDEX, FLOAT, LAYOUT, file!("mlstm/d_key.wgsl"), DECAY, TILE_PANELS, TILES]);
/// The value's gradient.
pub static D_VALUE: Kernel =
    in_tiles("mlstm/d_value", &[INDEX, FLOAT, LAYOUT, file!("mlstm/d_value.wgsl"), DECAY, TILE_PANELS, TILES]);
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

const UNITS: File = file!("mlstm/units_layout.wgsl");
const UNITS_STATES_PASS: File = file!("mlstm/units_states.wgsl");
const SCORES: File = file!("mlstm/units_scores.wgsl");
const ROW_QUERIES: File = file!("mlstm/units_row_queries.wgsl");
const ROW_KEYS: File = file!("mlstm/units_row_keys.wgsl");
const PANELS: File = file!("mlstm/units_panels.wgsl");
const UNITS_TILES: File = file!("mlstm/units_tiles.wgsl");
const SIDES: &[&[Constant]] = &[&[("SIDE", 64)], &[("SIDE", 32)]];
const BLOCKS: &[&[Constant]] = &[&[("BLOCKS", 1)], &[("BLOCKS", 2)], &[("BLOCKS", 4)]];

/// On matrix units: the states at all chunk borders.
pub static UNITS_STATES: Kernel = Kernel {
    name: "mlstm/units_states",
    files: &[COOPERATIVE, INDEX, FLOAT, LAYOUT, UNITS, file!("mlstm/units_states_forward.wgsl"), UNITS_STATES_PASS],
    bindings: &[Read, Read, Read, ReadWrite],
    variants: SIDES,
};
/// On matrix units: the gradients of the states at all chunk borders.
pub static UNITS_D_STATES: Kernel = Kernel {
    name: "mlstm/units_d_states",
    files: &[COOPERATIVE, INDEX, FLOAT, LAYOUT, UNITS, file!("mlstm/units_states_backward.wgsl"), UNITS_STATES_PASS],
    bindings: &[Read, Read, Read, Read, Read, ReadWrite],
    variants: SIDES,
};
/// Scales of states that are rounded.
pub static UNITS_SCALE: Kernel =
    kernel("mlstm/units_scale", &[INDEX, LAYOUT, UNITS, file!("mlstm/units_scale.wgsl")], &[ReadWrite]);
/// On matrix units: h and den.
pub static UNITS_OUTPUT: Kernel = Kernel {
    name: "mlstm/units_output",
    files: &[COOPERATIVE, INDEX, FLOAT, LAYOUT, UNITS, SCORES, file!("mlstm/units_output.wgsl"), PANELS, UNITS_TILES],
    bindings: &[Read, Read, Read, Read, Read, ReadWrite, ReadWrite],
    variants: &[
        &[("NORMALIZE", 0), ("BLOCKS", 1)],
        &[("NORMALIZE", 0), ("BLOCKS", 2)],
        &[("NORMALIZE", 0), ("BLOCKS", 4)],
        &[("NORMALIZE", 1), ("BLOCKS", 1)],
        &[("NORMALIZE", 1), ("BLOCKS", 2)],
        &[("NORMALIZE", 1), ("BLOCKS", 4)],
    ],
};
/// What the backward on matrix units needs of each position.
pub static UNITS_ROWS: Kernel = of_output(
    "mlstm/units_rows",
    &[INDEX, FLOAT, LAYOUT, UNITS, file!("mlstm/units_rows.wgsl")],
    &[Read, Read, Read, Read, Read, ReadWrite, ReadWrite],
);
/// Scales of the rows of each chunk.
pub static UNITS_CHUNKS: Kernel =
    kernel("mlstm/units_chunks", &[INDEX, LAYOUT, UNITS, file!("mlstm/units_chunks.wgsl")], &[ReadWrite]);
/// On matrix units: the query's gradient.
pub static UNITS_D_QUERY: Kernel = Kernel {
    name: "mlstm/units_d_query",
    files: &[
        COOPERATIVE,
        INDEX,
        FLOAT,
        LAYOUT,
        UNITS,
        SCORES,
        file!("mlstm/units_d_query.wgsl"),
        ROW_QUERIES,
        PANELS,
        UNITS_TILES,
    ],
    bindings: &[Read, Read, Read, Read, Read, ReadWrite, ReadWrite],
    variants: &[BLOCKS[0], BLOCKS[1]],
};
/// On matrix units: the key's gradient.
pub static UNITS_D_KEY: Kernel = Kernel {
    name: "mlstm/units_d_key",
    files: &[
        COOPERATIVE,
        INDEX,
        FLOAT,
        LAYOUT,
        UNITS,
        SCORES,
        file!("mlstm/units_d_key.wgsl"),
        ROW_KEYS,
        PANELS,
        UNITS_TILES,
    ],
    bindings: &[Read, Read, Read, Read, Read, ReadWrite, ReadWrite],
    variants: &[BLOCKS[0], BLOCKS[1]],
};
/// On matrix units: the value's gradient.
pub static UNITS_D_VALUE: Kernel = Kernel {
    name: "mlstm/units_d_value",
    files: &[
        COOPERATIVE,
        INDEX,
        FLOAT,
        LAYOUT,
        UNITS,
        SCORES,
        file!("mlstm/units_d_value.wgsl"),
        ROW_KEYS,
        PANELS,
        UNITS_TILES,
    ],
    bindings: &[Read, Read, Read, Read, Read, ReadWrite],
    variants: BLOCKS,
};
/// The input gate's gradient and the terms of the forget gate's, from what the gradients of query and key left.
pub static UNITS_GATE_TERMS: Kernel = Kernel {
    name: "mlstm/units_gate_terms",
    files: &[INDEX, FLOAT, LAYOUT, UNITS, file!("mlstm/units_gate_terms.wgsl")],
    bindings: &[Read, ReadWrite, ReadWrite],
    variants: &[
        &[("SIGMOID", 0), ("DOT_WIDTH", 64)],
        &[("SIGMOID", 0), ("DOT_WIDTH", 128)],
        &[("SIGMOID", 1), ("DOT_WIDTH", 64)],
        &[("SIGMOID", 1), ("DOT_WIDTH", 128)],
    ],
};
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
    &UNITS_STATES,
    &UNITS_D_STATES,
    &UNITS_SCALE,
    &UNITS_OUTPUT,
    &UNITS_ROWS,
    &UNITS_CHUNKS,
    &UNITS_D_QUERY,
    &UNITS_D_KEY,
    &UNITS_D_VALUE,
    &UNITS_GATE_TERMS,
];
