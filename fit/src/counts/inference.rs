//! FLOPs and bytes of a prefill and of a generation step, in bf16 with f32 states. Norms (3 an element)
//! and skips (1) count here, unlike in training, as the paper's inference code does.

use super::{Architecture, CellForm, HALF, Shape, cell_bytes, cell_flops};

/// Part of the causal square that attention computes in a prefill.
const ATTENTION_CAUSAL: f64 = 0.65;
/// The same for the mLSTM chunk kernel.
const CELL_CAUSAL: f64 = 0.75;
/// Chunk of the mLSTM kernel in inference.
const CHUNK: u64 = 128;

/// A model at a batch size.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Inference {
    /// The model.
    pub shape: Shape,
    /// Sequences at once.
    pub batch: f64,
}

impl Inference {
    /// Features of all heads' values, of queries, keys and values together, and heads of keys and values.
    fn features(&self) -> [f64; 3] {
        let s = &self.shape;
        let all = s.heads * s.d_query + s.key_value_heads * (s.d_query + s.d_value);
        [s.heads * s.d_value, all, s.key_value_heads].map(|x| x as f64)
    }

    fn sizes(&self) -> [f64; 7] {
        let s = &self.shape;
        [s.d_model, s.heads, s.d_query, s.d_value, s.d_ff, s.blocks, s.vocabulary].map(|x| x as f64)
    }

    /// FLOPs per token and block outside of the sequence mixing.
    fn token_flops(&self) -> f64 {
        let [d, h, _, _, f, ..] = self.sizes();
        let [values, all, _] = self.features();
        let feed_forward = 4.0 * d + 6.0 * d * f + 2.0 * f;
        match self.shape.architecture {
            Architecture::Transformer => 4.0 * d + 2.0 * d * all + 2.0 * values * d + feed_forward,
            Architecture::Xlstm => {
                let projections = 2.0 * d * all + 2.0 * d * h + 2.0 * h;
                // Output gate, head norm, output projection.
                let output = 2.0 * d * values + values + 3.0 * values + 2.0 * values * d;
                4.0 * d + projections + output + feed_forward
            }
        }
    }

    /// FLOPs of a prefill of `length` tokens and one output.
    pub fn prefill_flops(&self, length: f64) -> f64 {
        let [d, h, q, v, _, blocks, vocabulary] = self.sizes();
        let mixing = match self.shape.architecture {
            Architecture::Transformer => 2.0 * ATTENTION_CAUSAL * length * length * h * (q + v + 2.5),
            Architecture::Xlstm => cell_flops(CellForm::Chunkwise(CHUNK), length, h, q, v, CELL_CAUSAL),
        };
        self.batch * (length * blocks * self.token_flops() + blocks * mixing + 2.0 * d * vocabulary)
    }

    /// Bytes of activations, weights, embedding and output layer for `length` tokens a sequence,
    /// `outputs` of which are predicted from.
    fn backbone_bytes(&self, length: f64, outputs: f64) -> f64 {
        let [d, h, _, _, f, blocks, vocabulary] = self.sizes();
        let [values, all, _] = self.features();
        let activations = match self.shape.architecture {
            Architecture::Transformer => 2.0 * d + all + (values + d) + d + 3.0 * (d + f),
            Architecture::Xlstm => {
                2.0 * d + all + 2.0 * (d + h) + (d + values) + values + (values + d) + d + 3.0 * (d + f)
            }
        };
        let weights = self.shape.blocks as f64 * self.shape.block_parameters() as f64;
        let head = self.batch * outputs * (d + d + vocabulary) + d + d * vocabulary;
        HALF * (self.batch * length * (blocks * activations + d) + weights + head)
    }

    /// Bytes moved by a prefill of `length` tokens.
    pub fn prefill_bytes(&self, length: f64) -> f64 {
        let [_, h, q, v, _, blocks, _] = self.sizes();
        let [.., groups] = self.features();
        let mixing = match self.shape.architecture {
            Architecture::Transformer => length * (q + v) * (h + groups) * HALF,
            Architecture::Xlstm => cell_bytes(CellForm::Chunkwise(CHUNK), length, h, q, v).unwrap_or(0.0),
        };
        self.backbone_bytes(length, 1.0) + self.batch * blocks * mixing
    }

    /// FLOPs of one generated token after `length` tokens.
    pub fn step_flops(&self, length: f64) -> f64 {
        let [d, h, q, v, _, blocks, vocabulary] = self.sizes();
        let mixing = match self.shape.architecture {
            Architecture::Transformer => 2.0 * (length + 1.0) * h * (q + v + 2.5),
            Architecture::Xlstm => cell_flops(CellForm::Recurrent, 1.0, h, q, v, 1.0),
        };
        self.batch * (blocks * (self.token_flops() + mixing) + 3.0 * d + 2.0 * d * vocabulary)
    }

    /// Bytes of one generated token after `length` tokens: weights once, states or the whole cache once.
    pub fn step_bytes(&self, length: f64) -> f64 {
        self.step_bytes_over(length, 1.0)
    }

    /// Bytes a token, averaged over `generated` tokens, as the published fits count them: a
    /// Transformer's weights are read once for all of them, so that its ε absorbs the weights' traffic.
    pub fn step_bytes_over(&self, length: f64, generated: f64) -> f64 {
        let [_, h, q, v, _, blocks, _] = self.sizes();
        let [.., groups] = self.features();
        match self.shape.architecture {
            Architecture::Xlstm => {
                let cell = cell_bytes(CellForm::Recurrent, 1.0, h, q, v).unwrap_or(0.0);
                self.backbone_bytes(1.0, 1.0) + self.batch * blocks * cell
            }
            Architecture::Transformer => {
                let g = generated;
                let read = g + length * g + g * (g - 1.0) / 2.0;
                (self.backbone_bytes(g, g) + blocks * self.batch * read * (q + v) * groups * HALF) / g
            }
        }
    }
}
