//! `config.json` of a model, as transformers opens it.

use serde_json::{Map, Value, json};

use super::{SpecialTokens, rotary};
use crate::configuration::{Architecture, ModelConfiguration};
use crate::folder::Stored;

/// The model's `config.json`.
pub fn to_json(model: &ModelConfiguration, tokens: &SpecialTokens, stored: Stored) -> Value {
    let mut value = architecture(model);
    if let Some(map) = value.as_object_mut() {
        if model.architecture == Architecture::Transformer {
            rotary::write(map, model.rope_theta, model.rope_scaling);
        }
        add_tokens(map, tokens);
        // The key up to transformers 4, and from 5 on.
        map.insert("torch_dtype".into(), stored.name().into());
        map.insert("dtype".into(), stored.name().into());
    }
    value
}

/// Without these keys transformers would take its own defaults, and stop at tokens that mean nothing here.
fn add_tokens(map: &mut Map<String, Value>, tokens: &SpecialTokens) {
    map.insert("bos_token_id".into(), json!(tokens.begin));
    let end = match tokens.end.as_slice() {
        [] => Value::Null,
        [one] => json!(one),
        several => json!(several),
    };
    map.insert("eos_token_id".into(), end);
    map.insert("pad_token_id".into(), json!(tokens.pad));
}

fn architecture(model: &ModelConfiguration) -> Value {
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
            "eps": model.cell_eps,
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
            "attention_bias": model.attention_bias,
            "mlp_bias": model.mlp_bias,
            "output_logit_soft_cap": model.output_logit_soft_cap,
            "tie_word_embeddings": model.tie_word_embeddings,
            "max_position_embeddings": model.context_length,
        }),
    }
}

/// The factor of which `transformers`, which cuts `width · factor` off to a whole number, makes `size` again: the quotient, or
/// the next float where that falls short.
pub(super) fn factor(size: usize, width: usize) -> f64 {
    let quotient = size as f64 / width as f64;
    if width as f64 * quotient < size as f64 { quotient.next_up() } else { quotient }
}
