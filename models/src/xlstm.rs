//! The xLSTM with the block of xLSTM 7B (Beck et al., arXiv 2503.13427), in the order of the forward pass.
//!
//! Per block: x += mLSTM layer(RMSNorm(x)); x += SwiGLU layer(RMSNorm(x)).
//!
//! The mLSTM layer projects its input to query, key, value, output gate, and, with bias, to one input and one forget gate a
//! head, which are soft-capped. The cell's output is normalised by head (LayerNorm without bias), gated by σ(output gate),
//! and projected back.
//!
//! In mixed precision x, the gates, the cell's state and output stay f32; what the norms give, and else all between there and
//! the next sum with x, is f16.

use gradus_engine::ops::embedding::embedding;
use gradus_engine::ops::matmul::{MatMul, linear_add, linear_bias, linear_in};
use gradus_engine::ops::mlstm::{self, mlstm_step, mlstm_with, mlstm_with_state};
use gradus_engine::ops::norm::{multi_head_norm_gated, rms_norm_to};
use gradus_engine::ops::reshape::reshape;
use gradus_engine::ops::swiglu::swiglu;
use gradus_engine::ops::unary::soft_cap;
use gradus_engine::{Error, Last, Result, Var};

use crate::configuration::ModelConfiguration;
use crate::documents::Documents;
use crate::parameters::XLSTM_BLOCK;
use crate::pass::{Pass, recomputed};
use crate::state::{Layer, Recurrent, State};

/// The last hidden states [batch, sequence, embedding_dim], after the final norm, of tokens [batch, sequence]. With a state,
/// goes on from it and leaves in it what comes after. Without one, the cells forget at the beginnings of `documents`.
///
/// # Errors
/// What the operations meet.
pub fn forward(
    model: &ModelConfiguration,
    weights: &[Var],
    tokens: &Var,
    pass: Pass,
    documents: Option<&Documents>,
    state: Option<&mut State>,
) -> Result<Var> {
    let mut layers = state.map(|state| state.layers.iter_mut());
    let mut x = embedding(&weights[0], tokens)?;
    for (place, block) in weights[1..=model.num_blocks * XLSTM_BLOCK].chunks(XLSTM_BLOCK).enumerate() {
        let layer = layers.as_mut().and_then(Iterator::next);
        x = if layer.is_none() && pass.recomputes(place, model.num_blocks) {
            let (model, documents) = (model.clone(), documents.cloned());
            recomputed(block, &x, move |block, x| forward_block(&model, block, x, pass, documents.as_ref(), None))?
        } else {
            forward_block(model, block, &x, pass, documents, layer)?.apply()?
        };
    }
    rms_norm_to(&x, &weights[1 + model.num_blocks * XLSTM_BLOCK], model.norm_eps, pass.precision)
}

/// A block up to its last product with the sum, which is given and not run.
fn forward_block(
    model: &ModelConfiguration,
    weights: &[Var],
    x: &Var,
    Pass { precision, .. }: Pass,
    documents: Option<&Documents>,
    layer: Option<&mut Layer>,
) -> Result<Last> {
    let [norm_mlstm, q, k, v, o, i, i_bias, f, f_bias, head_norm, out, norm_ffn, up_gate, up, down] = weights else {
        return Err(Error::shape("xlstm", format!("a block has {XLSTM_BLOCK} weights, not {}", weights.len())));
    };
    let (batch, sequence) = (x.sizes()[0], x.sizes()[1]);
    let heads = |x: Var, head_dim: usize| reshape(&x, &[batch, sequence, model.num_heads, head_dim]);
    let linear = |x: &Var, weight: &Var| linear_in(x, weight, precision);
    let gate = |x: &Var, weight: &Var, bias: &Var| soft_cap(&linear_bias(x, weight, bias)?, model.gate_soft_cap);

    let normed = rms_norm_to(x, norm_mlstm, model.norm_eps, precision)?;
    let query = heads(linear(&normed, q)?, model.qk_head_dim)?;
    let key = heads(linear(&normed, k)?, model.qk_head_dim)?;
    let value = heads(linear(&normed, v)?, model.v_head_dim)?;
    let output_gate = linear(&normed, o)?;
    let (input_gate, forget_gate) = (gate(&normed, i, i_bias)?, gate(&normed, f, f_bias)?);

    let options = mlstm::Options { chunk_size: model.chunk_size, epsilon: model.cell_eps, ..Default::default() };
    let cell = match layer {
        Some(Layer::Recurrent(state)) => {
            let before = mlstm::State {
                memory: state.memory.clone().into(),
                normalizer: state.normalizer.clone().into(),
                stabilizer: state.stabilizer.clone().into(),
            };
            let run = if sequence == 1 { mlstm_step } else { mlstm_with_state };
            let (cell, after) = run(&query, &key, &value, &input_gate, &forget_gate, &before, options)?;
            *state = Recurrent {
                memory: after.memory.into_tensor(),
                normalizer: after.normalizer.into_tensor(),
                stabilizer: after.stabilizer.into_tensor(),
            };
            cell
        }
        _ => {
            let (query, key, value) = (&query, &key, &value);
            let (input_gate, forget_gate) = (&input_gate, &forget_gate);
            let inputs = mlstm::Inputs { query, key, value, input_gate, forget_gate };
            let reset = documents.map(Documents::tensor);
            mlstm_with(inputs, mlstm::Extras { reset, ..Default::default() }, options)?.0
        }
    };
    let gated = multi_head_norm_gated(&cell, head_norm, &output_gate, model.norm_eps)?;
    let x = linear_add(&gated, out, x)?;

    let normed = rms_norm_to(&x, norm_ffn, model.norm_eps, precision)?;
    let hidden = swiglu(&linear(&normed, up_gate)?, &linear(&normed, up)?)?;
    Ok(Last::new(MatMul::LINEAR, vec![hidden, down.clone(), x]))
}
