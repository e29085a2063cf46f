//! What the keys of each architecture say of a model.

use gradus_engine::ops::mlstm::CHUNK_SIZES;
use serde_json::Value;

use super::keys::Keys;
use super::rotary;
use crate::Result;
use crate::configuration::{
    Architecture, DEFAULT_CELL_EPS, DEFAULT_CHUNK_SIZE, DEFAULT_GATE_SOFT_CAP, DEFAULT_OUTPUT_LOGIT_SOFT_CAP,
    DEFAULT_ROPE_THETA, ModelConfiguration, RopeScaling,
};

pub(super) fn xlstm(keys: &Keys, feed_forward_dim: Option<usize>) -> Result<ModelConfiguration> {
    if keys.flag("use_bias")? {
        return Err(
            keys.error("`use_bias` is true; xLSTMs with biases in their projections are not implemented".into())
        );
    }
    if keys.map.get("add_out_norm").and_then(Value::as_bool) == Some(false) {
        return Err(keys.error("`add_out_norm` is false; xLSTMs without a final norm are not implemented".into()));
    }
    let width = keys.required(&["embedding_dim", "hidden_size"])?;
    let heads = keys.required(&["num_heads"])?;
    if heads == 0 {
        return Err(keys.error("`num_heads` is 0".into()));
    }
    let head_dim = |name: &str, default: f64| -> Result<usize> {
        // Cut off as the authors' code does it.
        let all = (width as f64 * keys.number(name)?.unwrap_or(default)) as usize;
        if !all.is_multiple_of(heads) {
            let message = format!(
                "`{name}` makes {all} features of a width of {width}, and {heads} heads do not share them evenly"
            );
            return Err(keys.error(message));
        }
        Ok(all / heads)
    };
    let factor = keys.number("ffn_proj_factor")?.unwrap_or(2.667);
    let multiple = keys.size(&["ffn_round_up_to_multiple_of"])?.unwrap_or(64).max(1) as f64;
    // Not a ceiling: int(((d·factor + multiple − 1) // multiple) · multiple) in floating point, as the authors' code has it.
    let rounded = ((width as f64 * factor + multiple - 1.0) / multiple).floor() * multiple;
    let (qk_head_dim, v_head_dim) = (head_dim("qk_dim_factor", 0.5)?, head_dim("v_dim_factor", 1.0)?);
    Ok(ModelConfiguration {
        architecture: Architecture::Xlstm,
        vocab_size: keys.required(&["vocab_size"])?,
        embedding_dim: width,
        num_blocks: keys.required(&["num_blocks", "num_hidden_layers"])?,
        num_heads: heads,
        num_key_value_heads: heads,
        qk_head_dim,
        v_head_dim,
        feed_forward_dim: feed_forward_dim.unwrap_or(rounded as usize),
        norm_eps: keys.number("norm_eps")?.unwrap_or(1e-6),
        cell_eps: keys.number("eps")?.unwrap_or(DEFAULT_CELL_EPS),
        rope_theta: DEFAULT_ROPE_THETA,
        rope_scaling: RopeScaling::Unscaled,
        attention_bias: false,
        mlp_bias: false,
        gate_soft_cap: match keys.map.get("gate_soft_cap") {
            Some(Value::Null) => {
                return Err(keys.error("`gate_soft_cap` is null; gates without a cap are not implemented".into()));
            }
            _ => keys.number("gate_soft_cap")?.unwrap_or(DEFAULT_GATE_SOFT_CAP),
        },
        output_logit_soft_cap: match keys.map.get("output_logit_soft_cap") {
            None => Some(DEFAULT_OUTPUT_LOGIT_SOFT_CAP),
            Some(_) => keys.number("output_logit_soft_cap")?,
        },
        tie_word_embeddings: keys.flag("tie_word_embeddings")?,
        // It changes speed, not results: one that the engine does not have is not worth an error.
        chunk_size: keys.size(&["chunk_size"])?.filter(|size| CHUNK_SIZES.contains(size)).unwrap_or(DEFAULT_CHUNK_SIZE),
        context_length: keys.size(&["max_position_embeddings", "context_length"])?.unwrap_or(XLSTM_CONTEXT),
    })
}

pub(super) fn llama(keys: &Keys) -> Result<ModelConfiguration> {
    // Two names of one function.
    let silu = |act: &Value| matches!(act.as_str(), Some("silu" | "swish"));
    if let Some(act) = keys.map.get("hidden_act").filter(|act| !act.is_null() && !silu(act)) {
        return Err(keys.error(format!("`hidden_act` is {act}; only \"silu\" is implemented")));
    }
    let width = keys.required(&["hidden_size"])?;
    let heads = keys.required(&["num_attention_heads"])?;
    if heads == 0 {
        return Err(keys.error("`num_attention_heads` is 0".into()));
    }
    let head_dim = match keys.size(&["head_dim"])? {
        Some(head_dim) => head_dim,
        None if width.is_multiple_of(heads) => width / heads,
        None => {
            let message = format!(
                "`hidden_size` is {width} and `num_attention_heads` {heads}, which does not divide it; give `head_dim`"
            );
            return Err(keys.error(message));
        }
    };
    let context_length = keys.size(&["max_position_embeddings"])?.unwrap_or(2048);
    let (rope_theta, rope_scaling) = rotary::read(keys, context_length)?;
    Ok(ModelConfiguration {
        architecture: Architecture::Transformer,
        vocab_size: keys.required(&["vocab_size"])?,
        embedding_dim: width,
        num_blocks: keys.required(&["num_hidden_layers"])?,
        num_heads: heads,
        num_key_value_heads: keys.size(&["num_key_value_heads"])?.unwrap_or(heads),
        qk_head_dim: head_dim,
        v_head_dim: head_dim,
        feed_forward_dim: keys.required(&["intermediate_size"])?,
        norm_eps: keys.number("rms_norm_eps")?.unwrap_or(1e-6),
        cell_eps: DEFAULT_CELL_EPS,
        rope_theta,
        rope_scaling,
        attention_bias: keys.flag("attention_bias")?,
        mlp_bias: keys.flag("mlp_bias")?,
        gate_soft_cap: DEFAULT_GATE_SOFT_CAP,
        output_logit_soft_cap: keys.number("output_logit_soft_cap")?,
        tie_word_embeddings: keys.flag("tie_word_embeddings")?,
        chunk_size: DEFAULT_CHUNK_SIZE,
        context_length,
    })
}

/// The context that published xLSTMs were trained with; their files do not name it, and nothing ends there.
const XLSTM_CONTEXT: usize = 8192;
