//! `config.json` as Hugging Face has it, and what it says of a model.
//!
//! Keys that only steer how other programs compute (kernels, caches, types) are ignored; keys that would change the result
//! in a way that is not implemented are refused.

use std::path::Path;

use serde_json::{Map, Value, json};

use crate::configuration::{Architecture, DEFAULT_GATE_SOFT_CAP, DEFAULT_OUTPUT_LOGIT_SOFT_CAP, ModelConfiguration};
use crate::{Error, Result};

/// The model's `config.json`.
pub fn to_json(model: &ModelConfiguration) -> Value {
    match model.architecture {
        Architecture::Xlstm => json!({
            "architectures": ["xLSTMForCausalLM"],
            "model_type": "xlstm",
            "vocab_size": model.vocab_size,
            "embedding_dim": model.embedding_dim,
            "hidden_size": model.embedding_dim,
            "num_blocks": model.num_blocks,
            "num_hidden_layers": model.num_blocks,
            "num_heads": model.num_heads,
            "use_bias": false,
            "norm_eps": model.norm_eps,
            "eps": 1e-6,
            "norm_reduction_force_float32": true,
            "add_out_norm": true,
            "qk_dim_factor": factor(model.num_heads * model.qk_head_dim, model.embedding_dim),
            "v_dim_factor": factor(model.num_heads * model.v_head_dim, model.embedding_dim),
            "ffn_proj_factor": factor(model.feed_forward_dim, model.embedding_dim),
            "ffn_round_up_to_multiple_of": 1,
            "gate_soft_cap": model.gate_soft_cap,
            "output_logit_soft_cap": model.output_logit_soft_cap,
            "tie_word_embeddings": model.tie_word_embeddings,
            "weight_mode": "single",
            "chunk_size": model.chunk_size,
            "max_position_embeddings": model.context_length,
            "torch_dtype": "float32",
        }),
        Architecture::Transformer => json!({
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "vocab_size": model.vocab_size,
            "hidden_size": model.embedding_dim,
            "intermediate_size": model.feed_forward_dim,
            "num_hidden_layers": model.num_blocks,
            "num_attention_heads": model.num_heads,
            "num_key_value_heads": model.num_key_value_heads,
            "head_dim": model.qk_head_dim,
            "rms_norm_eps": model.norm_eps,
            "hidden_act": "silu",
            "attention_bias": false,
            "mlp_bias": false,
            "rope_theta": model.rope_theta,
            "output_logit_soft_cap": model.output_logit_soft_cap,
            "tie_word_embeddings": model.tie_word_embeddings,
            "max_position_embeddings": model.context_length,
            "torch_dtype": "float32",
        }),
    }
}

/// The factor of which `transformers`, which cuts `width · factor` off to a whole number, makes `size` again: the quotient, or
/// the next float where that falls short.
fn factor(size: usize, width: usize) -> f64 {
    let quotient = size as f64 / width as f64;
    if width as f64 * quotient < size as f64 { quotient.next_up() } else { quotient }
}

/// A `config.json` with the file it came from, for messages.
struct Keys<'a> {
    path: &'a Path,
    map: &'a Map<String, Value>,
}

impl Keys<'_> {
    fn error(&self, message: String) -> Error {
        Error::content(self.path, message)
    }

    /// A whole number under any of `names`; they must agree where several are there.
    fn size(&self, names: &[&str]) -> Result<Option<usize>> {
        let mut found: Option<(&str, usize)> = None;
        for name in names {
            let Some(value) = self.map.get(*name).filter(|value| !value.is_null()) else { continue };
            let size = value
                .as_u64()
                .map(|size| size as usize)
                .ok_or_else(|| self.error(format!("`{name}` must be a whole number, it is {value}")))?;
            match found {
                Some((other, seen)) if seen != size => {
                    return Err(self.error(format!("`{other}` is {seen} but `{name}` is {size}; they mean the same")));
                }
                _ => found = Some((name, size)),
            }
        }
        Ok(found.map(|(_, size)| size))
    }

    fn required(&self, names: &[&str]) -> Result<usize> {
        self.size(names)?.ok_or_else(|| self.error(format!("`{}` is missing", names.join("` or `"))))
    }

    fn number(&self, name: &str) -> Result<Option<f64>> {
        match self.map.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => {
                let number = value.as_f64();
                number.map(Some).ok_or_else(|| self.error(format!("`{name}` must be a number, it is {value}")))
            }
        }
    }

    fn flag(&self, name: &str) -> Result<bool> {
        match self.map.get(name) {
            None | Some(Value::Null) => Ok(false),
            Some(value) => {
                value.as_bool().ok_or_else(|| self.error(format!("`{name}` must be true or false, it is {value}")))
            }
        }
    }
}

/// What a `config.json` says of a model. `feed_forward_dim`, the first size of a feed-forward weight, wins over the factor
/// in the file, whose rounding differs between programs.
///
/// # Errors
/// Missing or contradictory keys, an unknown architecture, and options that are not implemented, each by name.
pub fn from_json(path: &Path, text: &str, feed_forward_dim: Option<usize>) -> Result<ModelConfiguration> {
    let value: Value = serde_json::from_str(text).map_err(|error| Error::content(path, error.to_string()))?;
    let Value::Object(map) = value else {
        return Err(Error::content(path, "it must hold a JSON object"));
    };
    let keys = Keys { path, map: &map };
    let model = match map.get("model_type").and_then(Value::as_str) {
        Some("xlstm") => xlstm(&keys, feed_forward_dim),
        Some("llama") => llama(&keys),
        other => Err(keys.error(format!(
            "`model_type` is {}; `xlstm` and `llama` are known",
            other.map_or("missing".into(), |name| format!("`{name}`"))
        ))),
    }?;
    model.validate()?;
    Ok(model)
}

fn xlstm(keys: &Keys, feed_forward_dim: Option<usize>) -> Result<ModelConfiguration> {
    if keys.flag("use_bias")? {
        return Err(
            keys.error("`use_bias` is true; xLSTMs with biases in their projections are not implemented".into())
        );
    }
    let width = keys.required(&["embedding_dim", "hidden_size"])?;
    let heads = keys.required(&["num_heads"])?;
    if heads == 0 {
        return Err(keys.error("`num_heads` is 0".into()));
    }
    let head_dim = |name: &str, default: f64| -> Result<usize> {
        Ok((width as f64 * keys.number(name)?.unwrap_or(default)).round() as usize / heads)
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
        rope_theta: crate::configuration::DEFAULT_ROPE_THETA,
        gate_soft_cap: keys.number("gate_soft_cap")?.unwrap_or(DEFAULT_GATE_SOFT_CAP),
        output_logit_soft_cap: match keys.map.get("output_logit_soft_cap") {
            None => Some(DEFAULT_OUTPUT_LOGIT_SOFT_CAP),
            Some(_) => keys.number("output_logit_soft_cap")?,
        },
        tie_word_embeddings: keys.flag("tie_word_embeddings")?,
        chunk_size: keys.size(&["chunk_size"])?.unwrap_or(crate::configuration::DEFAULT_CHUNK_SIZE),
        context_length: keys.size(&["max_position_embeddings", "context_length"])?.unwrap_or(8192),
    })
}

fn llama(keys: &Keys) -> Result<ModelConfiguration> {
    for name in ["attention_bias", "mlp_bias"] {
        if keys.flag(name)? {
            return Err(keys.error(format!("`{name}` is true; biases are not implemented")));
        }
    }
    if let Some(act) = keys.map.get("hidden_act").filter(|act| act.as_str() != Some("silu")) {
        return Err(keys.error(format!("`hidden_act` is {act}; only \"silu\" is implemented")));
    }
    let width = keys.required(&["hidden_size"])?;
    let heads = keys.required(&["num_attention_heads"])?;
    if heads == 0 {
        return Err(keys.error("`num_attention_heads` is 0".into()));
    }
    let head_dim = keys.size(&["head_dim"])?.unwrap_or(width / heads);
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
        rope_theta: rope_theta(keys)?,
        gate_soft_cap: DEFAULT_GATE_SOFT_CAP,
        output_logit_soft_cap: keys.number("output_logit_soft_cap")?,
        tie_word_embeddings: keys.flag("tie_word_embeddings")?,
        chunk_size: crate::configuration::DEFAULT_CHUNK_SIZE,
        context_length: keys.size(&["max_position_embeddings"])?.unwrap_or(2048),
    })
}

/// `rope_theta` at the top level up to transformers 4, inside `rope_parameters` from 5 on.
fn rope_theta(keys: &Keys) -> Result<f64> {
    for name in ["rope_scaling", "rope_parameters"] {
        let Some(Value::Object(rope)) = keys.map.get(name) else { continue };
        let kind = rope.get("rope_type").or_else(|| rope.get("type")).and_then(Value::as_str).unwrap_or("default");
        if kind != "default" {
            return Err(keys.error(format!("`{name}` asks for rotary type `{kind}`; only `default` is implemented")));
        }
        if let Some(theta) = rope.get("rope_theta") {
            return theta
                .as_f64()
                .ok_or_else(|| keys.error(format!("`{name}.rope_theta` must be a number, it is {theta}")));
        }
    }
    Ok(keys.number("rope_theta")?.unwrap_or(crate::configuration::DEFAULT_ROPE_THETA))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configuration::presets;

    #[test]
    fn what_is_written_is_read_again() {
        for name in presets::names() {
            let model = presets::find(name).unwrap().model;
            let text = to_json(&model).to_string();
            let path = Path::new("config.json");
            assert_eq!(from_json(path, &text, Some(model.feed_forward_dim)).unwrap(), model, "{name}");
            assert_eq!(from_json(path, &text, None).unwrap(), model, "{name}");
        }
    }

    #[test]
    fn factors_give_the_sizes_again_when_cut_off() {
        // Without the next float up, some would come out one too small.
        assert!((1..=512).any(|size| 176.0 * (size as f64 / 176.0) < size as f64));
        for width in (2..=512).step_by(2) {
            for size in 1..=2 * width {
                assert_eq!((width as f64 * factor(size, width)) as usize, size, "{size} of {width}");
            }
        }
    }

    #[test]
    fn what_cannot_be_is_refused_by_name() {
        let refused = |text: &str, part: &str| {
            let error = from_json(Path::new("dir/config.json"), text, None).unwrap_err().to_string();
            assert!(error.starts_with("dir/config.json") && error.contains(part), "{error}");
        };
        refused("[]", "object");
        refused("{\"model_type\": \"gpt2\"}", "`gpt2`");
        refused("{\"model_type\": \"xlstm\", \"vocab_size\": 9}", "`embedding_dim` or `hidden_size` is missing");
        refused("{\"model_type\": \"xlstm\", \"embedding_dim\": 8, \"hidden_size\": 9}", "they mean the same");
        refused("{\"model_type\": \"llama\", \"hidden_act\": \"gelu\"}", "gelu");
        let llama = r#"{"model_type": "llama", "vocab_size": 9, "hidden_size": 8, "num_attention_heads": 2,
            "num_hidden_layers": 1, "intermediate_size": 16, "rope_scaling": {"rope_type": "yarn"}}"#;
        refused(llama, "yarn");
    }
}
