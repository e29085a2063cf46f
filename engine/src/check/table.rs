//! The table of operations: what is checked of each follows from its row.

use super::{Case, Direction, Draw};
use crate::DType;
use crate::ops::arithmetic::{Arithmetic, cases as arithmetic};
use crate::ops::attention::cases as attention;
use crate::ops::cast::cases as cast;
use crate::ops::cross_entropy::cases as cross_entropy;
use crate::ops::decode::cases as decode;
use crate::ops::dropout::cases as dropout;
use crate::ops::embedding::cases as embedding;
use crate::ops::gather::cases as gather;
use crate::ops::linear_cross_entropy::cases as linear_cross_entropy;
use crate::ops::matmul::cases as matmul;
use crate::ops::mlstm::cases as mlstm;
use crate::ops::norm::{Kind, cases as norm};
use crate::ops::permute::cases as permute;
use crate::ops::reduction::{Kind as Reduced, cases as reduction};
use crate::ops::reshape::cases as reshape;
use crate::ops::rotary::cases as rotary;
use crate::ops::sampling::cases as sampling;
use crate::ops::slice::cases as slice;
use crate::ops::softmax::{Softmax, cases as softmax};
use crate::ops::swiglu::{SwiGlu, cases as swiglu};
use crate::ops::unary::{Unary, cases as unary};

/// One row: an operation and how its cases are drawn.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// The operation's name.
    pub name: &'static str,
    /// Draws a case.
    pub draw: fn(&mut Draw) -> Case,
}

impl Row {
    /// What is checked of it: both, unless its cases have no gradient.
    pub fn directions(&self) -> &'static [Direction] {
        const FORWARD: &[Direction] = &[Direction::Forward];
        let forward_only = (self.draw)(&mut Draw::new(0, 64)).forward_only;
        if forward_only { FORWARD } else { &Direction::BOTH }
    }
}

/// What generation is made of beside the operations of [`TABLE`], without a gradient, and the type that it is checked in: steps
/// over f16 weights and an f16 cache, on GPUs that have f16 ([`super::half_missing`]), and the choice of tokens.
pub const FORWARD_ONLY: &[(Row, DType)] = &[
    (Row { name: "decode_product", draw: decode::draw_product }, DType::F16),
    (Row { name: "decode_embed", draw: decode::draw_embed }, DType::F16),
    (Row { name: "decode_rotate", draw: decode::draw_rotate }, DType::F16),
    (Row { name: "decode_attention", draw: decode::draw_attention }, DType::F16),
    (Row { name: "decode_mlstm", draw: decode::draw_mlstm }, DType::F16),
    (Row { name: "sampling", draw: sampling::draw }, DType::F32),
];

/// Operations in mixed precision, named as in [`TABLE`]: their cases mark inputs as [`super::Input::half`]. They are checked
/// as `f16`, on GPUs that have it ([`super::half_missing`]).
pub const HALF: &[Row] = &[
    Row { name: "add", draw: arithmetic::draw_half },
    Row { name: "rotary", draw: rotary::draw_half },
    Row { name: "rms_norm", draw: |draw| norm::draw_half(Kind::RmsNorm, draw) },
    Row { name: "layer_norm", draw: |draw| norm::draw_half(Kind::LayerNorm, draw) },
    Row { name: "multi_head_norm", draw: |draw| norm::draw_half(Kind::MultiHeadNorm, draw) },
    Row { name: "multi_head_norm_gated", draw: |draw| norm::draw_half(Kind::MultiHeadNormGated, draw) },
    Row { name: "swiglu", draw: |draw| swiglu::draw_half(SwiGlu::Separate, draw) },
    Row { name: "swiglu_packed", draw: |draw| swiglu::draw_half(SwiGlu::Packed, draw) },
    Row { name: "cast", draw: cast::draw_half },
    Row { name: "matmul", draw: matmul::draw_half },
    Row { name: "linear_cross_entropy", draw: linear_cross_entropy::draw_half },
    Row { name: "mlstm", draw: |draw| mlstm::draw_half(mlstm::Kind::Exponential, draw) },
    Row { name: "mlstm_sigmoid", draw: |draw| mlstm::draw_half(mlstm::Kind::Sigmoid, draw) },
    Row { name: "mlstm_documents", draw: |draw| mlstm::draw_half(mlstm::Kind::Documents, draw) },
    Row { name: "attention", draw: attention::draw_half },
];

/// Every operation.
pub const TABLE: &[Row] = &[
    Row { name: "add", draw: |draw| arithmetic::draw(Arithmetic::Add, draw) },
    Row { name: "subtract", draw: |draw| arithmetic::draw(Arithmetic::Subtract, draw) },
    Row { name: "multiply", draw: |draw| arithmetic::draw(Arithmetic::Multiply, draw) },
    Row { name: "divide", draw: |draw| arithmetic::draw(Arithmetic::Divide, draw) },
    Row { name: "embedding", draw: embedding::draw },
    Row { name: "cross_entropy", draw: cross_entropy::draw },
    Row { name: "linear_cross_entropy", draw: linear_cross_entropy::draw },
    Row { name: "gather", draw: gather::draw_elements },
    Row { name: "index_select", draw: gather::draw_slices },
    Row { name: "dropout", draw: dropout::draw },
    Row { name: "matmul", draw: matmul::draw },
    Row { name: "rotary", draw: rotary::draw },
    Row { name: "attention", draw: attention::draw },
    Row { name: "rms_norm", draw: |draw| norm::draw(Kind::RmsNorm, draw) },
    Row { name: "layer_norm", draw: |draw| norm::draw(Kind::LayerNorm, draw) },
    Row { name: "multi_head_norm", draw: |draw| norm::draw(Kind::MultiHeadNorm, draw) },
    Row { name: "multi_head_norm_gated", draw: |draw| norm::draw(Kind::MultiHeadNormGated, draw) },
    Row { name: "swiglu", draw: |draw| swiglu::draw(SwiGlu::Separate, draw) },
    Row { name: "swiglu_packed", draw: |draw| swiglu::draw(SwiGlu::Packed, draw) },
    Row { name: "reshape", draw: reshape::draw },
    Row { name: "permute", draw: permute::draw },
    Row { name: "cast", draw: cast::draw },
    Row { name: "sum", draw: |draw| reduction::draw(Reduced::Sum, draw) },
    Row { name: "mean", draw: |draw| reduction::draw(Reduced::Mean, draw) },
    Row { name: "max", draw: |draw| reduction::draw(Reduced::Max, draw) },
    Row { name: "slice", draw: slice::draw_slice },
    Row { name: "concatenate", draw: slice::draw_concatenate },
    Row { name: "softmax", draw: |draw| softmax::draw(Softmax::Probability, draw) },
    Row { name: "log_softmax", draw: |draw| softmax::draw(Softmax::Logarithm, draw) },
    Row { name: "sigmoid", draw: |draw| unary::draw(Unary::Sigmoid, draw) },
    Row { name: "soft_cap", draw: |draw| unary::draw(Unary::SoftCap(15.0), draw) },
    Row { name: "tanh", draw: |draw| unary::draw(Unary::Tanh, draw) },
    Row { name: "exp", draw: |draw| unary::draw(Unary::Exp, draw) },
    Row { name: "log", draw: |draw| unary::draw(Unary::Log, draw) },
    Row { name: "sqrt", draw: |draw| unary::draw(Unary::Sqrt, draw) },
    Row { name: "silu", draw: |draw| unary::draw(Unary::Silu, draw) },
    Row { name: "gelu", draw: |draw| unary::draw(Unary::Gelu, draw) },
    Row { name: "log_sigmoid", draw: |draw| unary::draw(Unary::LogSigmoid, draw) },
    Row { name: "softplus", draw: |draw| unary::draw(Unary::Softplus, draw) },
    Row { name: "scale", draw: |draw| unary::draw(Unary::Scale(2.0), draw) },
    Row { name: "square", draw: |draw| unary::draw(Unary::Square, draw) },
    Row { name: "power", draw: |draw| unary::draw(Unary::Power(3.0), draw) },
    Row { name: "mlstm", draw: |draw| mlstm::draw(mlstm::Kind::Exponential, draw) },
    Row { name: "mlstm_sigmoid", draw: |draw| mlstm::draw(mlstm::Kind::Sigmoid, draw) },
    Row { name: "mlstm_documents", draw: |draw| mlstm::draw(mlstm::Kind::Documents, draw) },
];
