//! FLOPs of training. A multiply-add counts 2; norms, residual additions and the embedding look-up count
//! nothing; the backward pass counts twice the forward pass.

use super::{Architecture, CellForm, Shape, cell_flops};

/// Chunk of the mLSTM kernels in training.
const CHUNK: f64 = 64.0;

/// Two published counts of the mLSTM cell; they differ by less than 1e-4 of a model's total.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CellCount {
    /// The count that set the budgets of the published runs.
    #[default]
    First,
    /// The later, cleaner count.
    Tiled,
}

/// Two counts of attention.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AttentionCount {
    /// Half of the square.
    #[default]
    Causal,
    /// The whole square, as in Hoffmann and others (2022).
    Full,
}

/// FLOPs of a forward pass over one sequence.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ForwardFlops {
    /// Matrix products with weights, output layer included.
    pub linear: f64,
    /// Attention or the mLSTM cell.
    pub mixing: f64,
    /// Products and activations of the feed-forward layers.
    pub other: f64,
}

impl ForwardFlops {
    /// The sum.
    pub fn total(&self) -> f64 {
        self.linear + self.mixing + self.other
    }
}

impl Shape {
    /// FLOPs of a forward pass over one sequence of `context` tokens.
    pub fn forward_flops(&self, context: u64, cell: CellCount, attention: AttentionCount) -> ForwardFlops {
        let [t, d, h, q, v, f, blocks, vocabulary] =
            [context, self.d_model, self.heads, self.d_query, self.d_value, self.d_ff, self.blocks, self.vocabulary]
                .map(|x| x as f64);
        let out = 2.0 * t * d * h * v;
        let groups = self.key_value_heads as f64;
        let (linear, mixing) = match self.architecture {
            Architecture::Transformer => {
                let square = t * t * h;
                let attention = match attention {
                    AttentionCount::Causal => square * (q + v + 2.5),
                    AttentionCount::Full => square * (2.0 * q + 2.0 * v + 3.0),
                };
                (2.0 * t * d * (h * q + groups * (q + v)) + out, attention)
            }
            Architecture::Xlstm => {
                let gates = 2.0 * t * d * h * v + t * h * v;
                let projections = 2.0 * t * d * h * (2.0 * q + v + 2.0) + out + gates;
                let cell = match cell {
                    CellCount::Tiled => cell_flops(CellForm::Chunkwise(CHUNK as u64), t, h, q, v, 1.0),
                    CellCount::First => {
                        let l = CHUNK;
                        let inside = l * l * (10.0 + 2.0 * q + 2.0 * v) + 16.0 * l + 5.0;
                        let states = (4.0 * l + 2.0) * q * v + 7.0 * l * q + 2.0 * q + 2.0 * l * v;
                        h * (t / l) * (l * (l + 1.0) + inside + states)
                    }
                };
                (projections, cell)
            }
        };
        ForwardFlops {
            linear: blocks * (linear + 6.0 * t * d * f) + 2.0 * t * vocabulary * d,
            mixing: blocks * mixing,
            other: blocks * 2.0 * t * f,
        }
    }

    /// FLOPs C of training on `sequences` sequences of `context` tokens: three forward passes each.
    pub fn training_flops(&self, context: u64, sequences: f64) -> f64 {
        3.0 * self.forward_flops(context, CellCount::First, AttentionCount::Causal).total() * sequences
    }
}
