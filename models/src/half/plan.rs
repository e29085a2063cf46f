//! How much memory a model in f16 takes, before anything is allocated.

use gradus_engine::DType;
use gradus_engine::ops::decode::parts_for;
use gradus_engine::ops::mlstm::chunk_size_for;

use super::piece_tokens;
use crate::configuration::{Architecture, ModelConfiguration};
use crate::parameters::{self, Role};

const HALF: u64 = 2;
const FLOAT: u64 = 4;

/// Bytes of a model, and of a batch of texts that it reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// The weights: matrices in f16, norms and biases in f32.
    pub weights: u64,
    /// Recurrent states in f32, or the key-value cache in f16 with the rotary tables.
    pub state: u64,
    /// What a block makes of a piece of a prompt, all of it, and the buffers of a step.
    pub working: u64,
    /// The largest tensor.
    pub largest: u64,
}

impl Plan {
    /// For `batch` texts with prompts of `prefill` tokens and room for `capacity`, on a device where a tensor may have
    /// `most_bytes`.
    pub fn new(model: &ModelConfiguration, batch: usize, prefill: usize, capacity: usize, most_bytes: u64) -> Self {
        let list = parameters::list(model);
        let bytes = |parameter: &parameters::Parameter| {
            let width = if matches!(parameter.role, Role::Embedding | Role::Matrix) { HALF } else { FLOAT };
            width * parameter.sizes.iter().product::<usize>() as u64
        };
        let [batch64, blocks, width, heads, groups, qk, v, inner, vocabulary, room] = [
            batch,
            model.num_blocks,
            model.embedding_dim,
            model.num_heads,
            model.num_key_value_heads,
            model.qk_head_dim,
            model.v_head_dim,
            model.feed_forward_dim,
            model.vocab_size,
            capacity,
        ]
        .map(|size| size as u64);
        let piece = piece_tokens(model, batch, most_bytes).min(prefill.max(1));
        let tokens = batch64 * piece as u64;
        let xlstm = model.architecture == Architecture::Xlstm;
        let (state, cache, mixing, borders) = if xlstm {
            let layer = FLOAT * batch64 * heads * (qk * v + qk + 1);
            let chunks = piece.div_ceil(chunk_size_for(model.qk_head_dim, model.v_head_dim, DType::F16)) as u64;
            // Query, key, value, output gate and what passed it; the cell's output; gates before and behind the cap, and ten
            // numbers that follow from them.
            let mixing = HALF * heads * (2 * qk + 3 * v) + FLOAT * heads * (v + 14);
            // The new state beside the old one, and those at the borders.
            (blocks * layer, 0, mixing, (chunks + 2) * layer)
        } else {
            let row = HALF * batch64 * room * groups * qk;
            // Query and key before and behind their rotation, value, the attention's output and its two numbers a row.
            let mixing = HALF * (2 * heads * qk + 2 * groups * qk + groups * v + heads * v) + FLOAT * 2 * heads;
            (blocks * 2 * row + FLOAT * room * qk, row, mixing, 0)
        };
        // Sums with a bias are f32 before they are rounded to f16.
        let of_queries = if model.attention_bias { FLOAT * heads * qk } else { 0 };
        let of_gates = if model.mlp_bias { FLOAT * 2 * inner } else { 0 };
        // The residual stream twice, what both norms give, gates, values and their product.
        let token = FLOAT * 2 * width + HALF * 2 * width + mixing + HALF * 3 * inner + of_queries.max(of_gates);
        let parts = if xlstm { heads * v } else { heads * parts_for(capacity) as u64 * (qk + 2) };
        let step = FLOAT * batch64 * (width + 4 * heads * (qk + v) + parts + heads * v + inner + 3 * vocabulary);
        let head = HALF * vocabulary * width;
        let projection = if xlstm { heads * (2 * qk + 2 * v + 2) } else { (heads + 2 * groups) * qk };
        let weight = head.max(HALF * 2 * inner * width).max(HALF * projection * width);
        let activation = tokens * (FLOAT * width).max(HALF * 2 * inner).max(of_queries).max(of_gates);
        Self {
            weights: list.iter().map(bytes).sum(),
            state,
            working: tokens * token + borders + step,
            largest: weight.max(activation).max(borders).max(cache),
        }
    }

    /// All of it.
    pub fn total(&self) -> u64 {
        self.weights + self.state + self.working
    }
}
