//! Parameters, FLOPs and bytes of xLSTM and Transformer models, as the scaling-law paper counts them
//! (Beck and others, *xLSTM Scaling Laws*, 2025, and its public code).
//!
//! Counts are `f64`: whole numbers up to 2⁵³ are exact, which covers every model of the paper.

mod cell;
mod inference;
mod training;

pub use cell::{CellForm, cell_bytes, cell_flops};
pub use inference::Inference;
pub use training::{AttentionCount, CellCount, ForwardFlops};

/// Bytes of an activation or weight (bf16).
pub(crate) const HALF: f64 = 2.0;
/// Bytes of an entry of the mLSTM state (f32).
pub(crate) const SINGLE: f64 = 4.0;

/// The two architectures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Architecture {
    /// xLSTM 7B blocks: mLSTM and SwiGLU.
    Xlstm,
    /// Llama-2 style blocks: multi-head attention and SwiGLU.
    Transformer,
}

/// Everything the counts depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Architecture.
    pub architecture: Architecture,
    /// Width d of the residual stream.
    pub d_model: u64,
    /// Number of blocks.
    pub blocks: u64,
    /// Number of heads.
    pub heads: u64,
    /// Heads of keys and values; the paper's models have as many as [`Self::heads`].
    pub key_value_heads: u64,
    /// Query and key size of a head.
    pub d_query: u64,
    /// Value size of a head.
    pub d_value: u64,
    /// Hidden size of the feed-forward layer.
    pub d_ff: u64,
    /// Vocabulary.
    pub vocabulary: u64,
    /// Whether the output layer is the embedding; it is not in the paper's models.
    pub tied: bool,
}

/// Hidden size of the feed-forward layer for a width: 2.667·d made whole (xLSTM up, Transformer down),
/// then up to a multiple of 64.
pub fn feed_forward_size(architecture: Architecture, d_model: u64) -> u64 {
    let wanted = 2667 * d_model;
    let whole = match architecture {
        Architecture::Xlstm => wanted.div_ceil(1000),
        Architecture::Transformer => wanted / 1000,
    };
    whole.next_multiple_of(64)
}

impl Shape {
    /// Weights of one block: norms, mixing layer, feed-forward layer.
    pub fn block_parameters(&self) -> u64 {
        let (d, h, values) = (self.d_model, self.heads, self.heads * self.d_value);
        let projections = d * (h * self.d_query + self.key_value_heads * (self.d_query + self.d_value));
        let feed_forward = 3 * d * self.d_ff + d;
        match self.architecture {
            // Input and forget gates with bias, output gate, output projection, pre-norm and head norm.
            Architecture::Xlstm => projections + 2 * d * h + 2 * h + 2 * d * values + d + values + feed_forward,
            Architecture::Transformer => projections + values * d + d + feed_forward,
        }
    }

    /// All weights N, both embedding matrices included, or the one where they are tied.
    pub fn parameters(&self) -> u64 {
        let matrices = if self.tied { 1 } else { 2 };
        self.blocks * self.block_parameters() + self.d_model + matrices * self.vocabulary * self.d_model
    }

    /// Bytes of what a generation keeps per sequence: the mLSTM states, or keys and values of `length`
    /// tokens.
    pub fn state_bytes(&self, length: u64) -> f64 {
        let heads = (self.blocks * self.key_value_heads) as f64;
        match self.architecture {
            Architecture::Xlstm => heads * (self.d_query * self.d_value + self.d_query + 1) as f64 * SINGLE,
            Architecture::Transformer => heads * ((self.d_query + self.d_value) * length) as f64 * HALF,
        }
    }
}
