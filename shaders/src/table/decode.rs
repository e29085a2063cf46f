//! One position of generation over f16 weights: products with few vectors, attention over a cache, a step of the mLSTM.
//!
//! Constants: of products `TEAM` invocations a row, `ROWS` rows a team (of a pair's kernel both halves together), `BATCH` texts
//! at once, `NORMED`; of attention `KEYS` a part and `LOADS` of 64 columns.

use super::*;

const HALF: File = file!("decode/half.wgsl");
const PRODUCT_FILE: File = file!("decode/product.wgsl");
const SINGLE: File = file!("decode/rows_single.wgsl");
const PAIR: File = file!("decode/rows_pair.wgsl");
const NO_BIAS: File = file!("decode/bias_none.wgsl");
const BIAS: File = file!("decode/bias_rows.wgsl");
const STORED: File = file!("decode/finish_store.wgsl");
const ADDED: File = file!("decode/finish_add.wgsl");
const GATED: File = file!("decode/finish_swiglu.wgsl");
const CAPPED: File = file!("decode/finish_cap.wgsl");
const GATES: File = file!("decode/mlstm_gates.wgsl");

/// The constants of a product's kernel.
pub const fn product_constants(team: u32, rows: u32, batch: u32, normed: bool) -> [Constant; 4] {
    [("TEAM", team), ("ROWS", rows), ("BATCH", batch), ("NORMED", normed as u32)]
}

const VARIANTS: &[&[Constant]] = &[
    &product_constants(32, 2, 1, true),
    &product_constants(32, 2, 8, false),
    &product_constants(32, 4, 1, true),
    &product_constants(32, 4, 8, true),
    &product_constants(64, 2, 2, true),
    &product_constants(64, 4, 4, false),
    &product_constants(128, 2, 4, true),
    &product_constants(256, 2, 1, true),
    &product_constants(256, 4, 8, false),
];

const fn product(name: &'static str, files: &'static [File]) -> Kernel {
    Kernel { name, files, bindings: &[Read, Read, Read, ReadWrite], variants: VARIANTS }
}

const fn biased(name: &'static str, files: &'static [File]) -> Kernel {
    Kernel { name, files, bindings: &[Read, Read, Read, ReadWrite, Read], variants: VARIANTS }
}

/// The product is the result.
pub static STORE: Kernel = product("decode/product_store", &[INDEX, HALF, PRODUCT_FILE, NO_BIAS, SINGLE, STORED]);
/// The product is added to what is there.
pub static ADD: Kernel = product("decode/product_add", &[INDEX, HALF, PRODUCT_FILE, NO_BIAS, SINGLE, ADDED]);
/// Gates and values, joined by SwiGLU.
pub static SWIGLU: Kernel = product("decode/product_swiglu", &[INDEX, FLOAT, HALF, PRODUCT_FILE, NO_BIAS, PAIR, GATED]);
/// The product, soft-capped.
pub static CAP: Kernel = product("decode/product_cap", &[INDEX, FLOAT, HALF, PRODUCT_FILE, NO_BIAS, SINGLE, CAPPED]);
/// [`STORE`] with a bias.
pub static STORE_BIAS: Kernel = biased("decode/product_store_bias", &[INDEX, HALF, PRODUCT_FILE, BIAS, SINGLE, STORED]);
/// [`ADD`] with a bias.
pub static ADD_BIAS: Kernel = biased("decode/product_add_bias", &[INDEX, HALF, PRODUCT_FILE, BIAS, SINGLE, ADDED]);
/// [`SWIGLU`] with a bias.
pub static SWIGLU_BIAS: Kernel =
    biased("decode/product_swiglu_bias", &[INDEX, FLOAT, HALF, PRODUCT_FILE, BIAS, PAIR, GATED]);

const fn kernel(name: &'static str, files: &'static [File], bindings: &'static [Access]) -> Kernel {
    Kernel { name, files, bindings, variants: &[&[]] }
}

/// Rows of the f16 embedding; the position moves on.
pub static EMBED: Kernel = kernel(
    "decode/embed",
    &[INDEX, FAULTS, HALF, file!("decode/embed.wgsl")],
    &[Read, Read, ReadWrite, ReadWrite, ReadWrite],
);
/// Rotary embedding, and the cache's next row.
pub static ROTATE: Kernel =
    kernel("decode/rotate", &[INDEX, file!("decode/rotate.wgsl")], &[ReadWrite, Read, Read, ReadWrite, ReadWrite]);
/// Attention over a part of the cache.
pub static ATTENTION_PART: Kernel = Kernel {
    name: "decode/attention_part",
    files: &[INDEX, FLOAT, ROW_SUMS, ROW_HIGHEST, HALF, file!("decode/attention_part.wgsl")],
    bindings: &[Read, Read, Read, Read, ReadWrite],
    variants: &[
        &[("SPAN", 256), ("KEYS", 64), ("LOADS", 1)],
        &[("SPAN", 256), ("KEYS", 128), ("LOADS", 2)],
        &[("SPAN", 256), ("KEYS", 256), ("LOADS", 4)],
    ],
};
/// The parts joined.
pub static ATTENTION_MERGE: Kernel = Kernel {
    name: "decode/attention_merge",
    files: &[INDEX, FLOAT, ROW_SUMS, ROW_HIGHEST, file!("decode/attention_merge.wgsl")],
    bindings: &[Read, ReadWrite],
    variants: &[&[("SPAN", 256)]],
};
/// The mLSTM's memory moves on.
pub static MLSTM_MEMORY: Kernel = kernel(
    "decode/mlstm_memory",
    &[INDEX, FLOAT, GATES, file!("decode/mlstm_memory.wgsl")],
    &[Read, Read, Read, ReadWrite, ReadWrite],
);
/// Its normaliser and stabiliser move on; its output, normed and gated.
pub static MLSTM_OUTPUT: Kernel = Kernel {
    name: "decode/mlstm_output",
    files: &[INDEX, FLOAT, ROW_SUMS, GATES, file!("decode/mlstm_output.wgsl")],
    bindings: &[Read, Read, ReadWrite, ReadWrite, Read, Read, ReadWrite],
    variants: &[&[("SPAN", 256)]],
};

pub(super) const ALL: &[&Kernel] = &[
    &STORE,
    &ADD,
    &SWIGLU,
    &CAP,
    &STORE_BIAS,
    &ADD_BIAS,
    &SWIGLU_BIAS,
    &EMBED,
    &ROTATE,
    &ATTENTION_PART,
    &ATTENTION_MERGE,
    &MLSTM_MEMORY,
    &MLSTM_OUTPUT,
];
