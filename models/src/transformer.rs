//! The Llama-style Transformer (Touvron et al., arXiv 2307.09288), in the order of the forward pass.
//!
//! Per block: x += attention(RMSNorm(x)); x += SwiGLU layer(RMSNorm(x)). Queries and keys are turned by the rotary embedding
//! (half rotation, as in Hugging Face files); a key-value head serves a group of query heads.
//!
//! In mixed precision x stays f32; what the norms give, and all between there and the next sum with x, is f16.

use gradus_engine::ops::attention::{AttentionOptions, attention, attention_documents, attention_with};
use gradus_engine::ops::embedding::embedding;
use gradus_engine::ops::matmul::{MatMul, linear_add, linear_in};
use gradus_engine::ops::norm::rms_norm_to;
use gradus_engine::ops::reshape::reshape;
use gradus_engine::ops::rotary::{RotaryTables, rotary_with};
use gradus_engine::ops::swiglu::swiglu;
use gradus_engine::{Error, Last, Result, Var};

use crate::configuration::ModelConfiguration;
use crate::documents::Documents;
use crate::parameters::TRANSFORMER_BLOCK;
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
    let tables = RotaryTables::new(model.rope_theta as f32, model.qk_head_dim, position, sequence)?;
    let mut layers = state.map(|state| state.layers.iter_mut());
    let mut x = embedding(&weights[0], tokens)?;
    let blocks = weights[1..=model.num_blocks * TRANSFORMER_BLOCK].chunks(TRANSFORMER_BLOCK);
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
    rms_norm_to(&x, &weights[1 + model.num_blocks * TRANSFORMER_BLOCK], model.norm_eps, pass.precision)
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
    let [norm_attention, q, k, v, out, norm_mlp, gate, up, down] = weights else {
        let message = format!("a Transformer block has {TRANSFORMER_BLOCK} weights, not {}", weights.len());
        return Err(Error::shape("transformer", message));
    };
    let (batch, sequence) = (x.sizes()[0], x.sizes()[1]);
    let heads = |x: Var, heads: usize| reshape(&x, &[batch, sequence, heads, model.qk_head_dim]);
    let linear = |x: &Var, weight: &Var| linear_in(x, weight, precision);
    let turn = |x: Var| rotary_with(&x, tables, position);

    let normed = rms_norm_to(x, norm_attention, model.norm_eps, precision)?;
    let query = turn(heads(linear(&normed, q)?, model.num_heads)?)?;
    let key = turn(heads(linear(&normed, k)?, model.num_key_value_heads)?)?;
    let value = heads(linear(&normed, v)?, model.num_key_value_heads)?;
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
    let x = linear_add(&mixed, out, x)?;

    let normed = rms_norm_to(&x, norm_mlp, model.norm_eps, precision)?;
    let hidden = swiglu(&linear(&normed, gate)?, &linear(&normed, up)?)?;
    Ok(Last::new(MatMul::LINEAR, vec![hidden, down.clone(), x]))
}
