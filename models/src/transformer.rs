//! The Llama-style Transformer (Touvron et al., arXiv 2307.09288), in the order of the forward pass.
//!
//! Per block: x += attention(RMSNorm(x)); x += SwiGLU layer(RMSNorm(x)). Queries and keys are turned by the rotary embedding
//! (half rotation, as in Hugging Face files); a key-value head serves a group of query heads. The projections of either part
//! have biases where the configuration says so.
//!
//! In mixed precision x stays f32; what the norms give, and all between there and the next sum with x, is f16; a bias is added
//! in f32.

use gradus_engine::ops::arithmetic::add;
use gradus_engine::ops::attention::{AttentionOptions, attention, attention_documents, attention_with};
use gradus_engine::ops::cast::cast;
use gradus_engine::ops::embedding::embedding;
use gradus_engine::ops::matmul::{MatMul, linear_add, linear_bias, linear_in};
use gradus_engine::ops::norm::rms_norm_to;
use gradus_engine::ops::reshape::reshape;
use gradus_engine::ops::rotary::{RotaryTables, rotary_with};
use gradus_engine::ops::swiglu::swiglu;
use gradus_engine::{DType, Error, Last, Precision, Result, Var};

use crate::configuration::ModelConfiguration;
use crate::documents::Documents;
use crate::parameters::{Linear, TransformerBlock, of_block};
use crate::pass::{Pass, recomputed};
use crate::state::{Cache, Layer, State};

/// The last hidden states [batch, sequence, embedding_dim], after the final norm, of tokens [batch, sequence]. With a state,
/// goes on from it and leaves in it the new keys and values too. Without one, tokens see those of their own document alone
/// if `documents` says where these begin.
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
    let position = state.as_ref().map_or(0, |state| state.position());
    let sequence = tokens.sizes().last().copied().unwrap_or(0);
    // The same angles for the queries and keys of every block.
    let tables = RotaryTables::with_frequencies(model.rope_frequencies(), position, sequence)?;
    let mut layers = state.map(|state| state.layers.iter_mut());
    let mut x = embedding(&weights[0], tokens)?;
    let behind = 1 + model.num_blocks * of_block(model);
    let blocks = weights[1..behind].chunks(of_block(model));
    for (place, block) in blocks.enumerate() {
        let layer = layers.as_mut().and_then(Iterator::next);
        x = if layer.is_none() && pass.recomputes(place, model.num_blocks) {
            let (model, tables, documents) = (model.clone(), tables.clone(), documents.cloned());
            recomputed(block, &x, move |block, x| {
                forward_block(&model, block, x, pass, (position, &tables), documents.as_ref(), None)
            })?
        } else {
            forward_block(model, block, &x, pass, (position, &tables), documents, layer)?.apply()?
        };
    }
    rms_norm_to(&x, &weights[behind], model.norm_eps, pass.precision)
}

/// A block up to its last product with the sum, which is given and not run.
fn forward_block(
    model: &ModelConfiguration,
    weights: &[Var],
    x: &Var,
    Pass { precision, .. }: Pass,
    (position, tables): (usize, &RotaryTables),
    documents: Option<&Documents>,
    layer: Option<&mut Layer>,
) -> Result<Last> {
    let Some(block) = TransformerBlock::of(model, weights) else {
        let message = format!("a Transformer block has {} weights, not {}", of_block(model), weights.len());
        return Err(Error::shape("transformer", message));
    };
    let (batch, sequence) = (x.sizes()[0], x.sizes()[1]);
    let heads = |x: Var, heads: usize| reshape(&x, &[batch, sequence, heads, model.qk_head_dim]);
    let linear = |x: &Var, layer: Linear<Var>| project(x, layer, precision);
    let turn = |x: Var| rotary_with(&x, tables, position);

    let normed = rms_norm_to(x, block.norm, model.norm_eps, precision)?;
    let query = turn(heads(linear(&normed, block.query)?, model.num_heads)?)?;
    let key = turn(heads(linear(&normed, block.key)?, model.num_key_value_heads)?)?;
    let value = heads(linear(&normed, block.value)?, model.num_key_value_heads)?;
    let mixed = match layer {
        Some(Layer::Cache(cache)) => {
            Cache::append(&mut cache.key, position, key.tensor())?;
            Cache::append(&mut cache.value, position, value.tensor())?;
            let (keys, values) = (cache.key.clone().into(), cache.value.clone().into());
            let options = AttentionOptions { key_length: Some(position + sequence) };
            attention_with(options, &query, &keys, &values)?
        }
        _ => match documents {
            None => attention(&query, &key, &value)?,
            Some(documents) => {
                attention_documents(AttentionOptions::default(), &query, &key, &value, documents.tensor())?
            }
        },
    };
    let mixed = reshape(&mixed, &[batch, sequence, model.num_heads * model.v_head_dim])?;
    let x = linear_add(&mixed, block.out.weight, &biased(x, block.out)?)?;

    let normed = rms_norm_to(&x, block.norm_ffn, model.norm_eps, precision)?;
    let hidden = swiglu(&linear(&normed, block.gate)?, &linear(&normed, block.up)?)?;
    Ok(Last::new(MatMul::LINEAR, vec![hidden, block.down.weight.clone(), biased(&x, block.down)?]))
}

/// A linear layer whose result is of this precision; its sum with a bias is f32 before.
pub(crate) fn project(x: &Var, layer: Linear<Var>, precision: Precision) -> Result<Var> {
    match layer.bias {
        None => linear_in(x, layer.weight, precision),
        Some(bias) if precision == Precision::Half => cast(&linear_bias(x, layer.weight, bias)?, DType::F16),
        Some(bias) => linear_bias(x, layer.weight, bias),
    }
}

/// The residual stream with the bias of a layer that is added to it next.
pub(crate) fn biased(x: &Var, layer: Linear<Var>) -> Result<Var> {
    match layer.bias {
        None => Ok(x.clone()),
        Some(bias) => add(x, bias),
    }
}
