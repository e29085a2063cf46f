//! `config.json` as Hugging Face has it, NX-AI's `config.yaml`, and what they say of a model.
//!
//! Keys that only steer how other programs compute (kernels, caches, types) are ignored, and so are unknown ones, since
//! published files carry keys of their training; keys that would change the result in a way that is not implemented are
//! refused.

mod architectures;
mod keys;
mod rotary;
mod writing;

use std::path::Path;

use serde_json::{Map, Value};

use crate::configuration::ModelConfiguration;
use crate::{Error, Result};
use keys::Keys;

pub use writing::to_json;

/// The tokens that begin, end and fill up a text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SpecialTokens {
    /// Stands before a text's first token.
    pub begin: Option<u32>,
    /// Any of these ends a text.
    pub end: Vec<u32>,
    /// Fills up shorter texts of a batch.
    pub pad: Option<u32>,
}

impl SpecialTokens {
    /// These, and where one of them is not known, the other's.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        let end = if self.end.is_empty() { other.end } else { self.end };
        Self { begin: self.begin.or(other.begin), end, pad: self.pad.or(other.pad) }
    }
}

/// A configuration has a few hundred values. Anchors that stand for one another could make a short file a huge one.
fn yaml_options() -> serde_saphyr::Options {
    const MOST: usize = 20_000;
    serde_saphyr::options! {
        budget: serde_saphyr::budget! { max_events: MOST, max_nodes: MOST, max_recorded_anchor_events: MOST },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: MOST },
    }
}

/// The text of a configuration file as its keys: YAML if the file's name says so, else JSON.
fn parse(path: &Path, text: &str) -> Result<Map<String, Value>> {
    let yaml = path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
    let value: Value = if yaml {
        serde_saphyr::from_str_with_options(text, yaml_options())
            .map_err(|error| Error::content(path, error.to_string()))?
    } else {
        serde_json::from_str(text).map_err(|error| Error::content(path, error.to_string()))?
    };
    match value {
        Value::Object(map) => Ok(map),
        _ if yaml => Err(Error::content(path, "it must hold keys with values")),
        _ => Err(Error::content(path, "it must hold a JSON object")),
    }
}

/// What a configuration file says of a model. `feed_forward_dim`, the first size of a feed-forward weight, wins over the
/// factor in an xLSTM's file, whose rounding differs between programs.
///
/// # Errors
/// Missing or contradictory keys, an unknown architecture, and options that are not implemented, each by name.
pub fn read(path: &Path, text: &str, feed_forward_dim: Option<usize>) -> Result<ModelConfiguration> {
    let map = parse(path, text)?;
    let keys = Keys { path, map: &map };
    let model = match family(&keys)? {
        Family::Xlstm => architectures::xlstm(&keys, feed_forward_dim),
        Family::Llama => architectures::llama(&keys),
    }?;
    model.validate().map_err(|error| Error::content(path, error.to_string()))?;
    Ok(model)
}

/// The tokens that a configuration file names.
///
/// # Errors
/// An id that is no whole number.
pub fn special_tokens(path: &Path, text: &str) -> Result<SpecialTokens> {
    let map = parse(path, text)?;
    let keys = Keys { path, map: &map };
    let one = |name: &str| -> Result<Option<u32>> { Ok(keys.tokens(name)?.first().copied()) };
    Ok(SpecialTokens { begin: one("bos_token_id")?, end: keys.tokens("eos_token_id")?, pad: one("pad_token_id")? })
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Family {
    Xlstm,
    Llama,
}

/// `model_type` and the class under `architectures` say it; NX-AI's plain files have neither, and are xLSTMs.
fn family(keys: &Keys) -> Result<Family> {
    let known = "xLSTM (`xlstm`, xLSTMForCausalLM) and Llama (`llama`, LlamaForCausalLM) are known";
    let by_type = match keys.map.get("model_type") {
        None | Some(Value::Null) => None,
        Some(Value::String(name)) if name == "xlstm" => Some(Family::Xlstm),
        Some(Value::String(name)) if name == "llama" => Some(Family::Llama),
        Some(other) => return Err(keys.error(format!("`model_type` is {other}, an unknown architecture; {known}"))),
    };
    let by_class = match keys.map.get("architectures").and_then(|classes| classes.get(0)) {
        None | Some(Value::Null) => None,
        Some(Value::String(name)) if name == "xLSTMForCausalLM" => Some(Family::Xlstm),
        Some(Value::String(name)) if name == "LlamaForCausalLM" => Some(Family::Llama),
        Some(other) => return Err(keys.error(format!("`architectures` names {other}, which is unknown; {known}"))),
    };
    match (by_type, by_class) {
        (Some(a), Some(b)) if a != b => {
            Err(keys
                .error("`model_type` and `architectures` name different architectures; one of them is wrong".into()))
        }
        (Some(family), _) | (None, Some(family)) => Ok(family),
        (None, None) if keys.map.contains_key("embedding_dim") && keys.map.contains_key("num_blocks") => {
            Ok(Family::Xlstm)
        }
        (None, None) => Err(keys.error(format!("`model_type` is missing; {known}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configuration::{Architecture, RopeScaling, presets};
    use crate::folder::Stored;

    fn json(text: &str) -> Result<ModelConfiguration> {
        read(Path::new("dir/config.json"), text, None)
    }

    const LLAMA: &str = r#""model_type": "llama", "vocab_size": 9, "hidden_size": 8, "num_attention_heads": 2,
        "num_hidden_layers": 1, "intermediate_size": 16"#;
    const XLSTM: &str =
        r#""model_type": "xlstm", "vocab_size": 9, "hidden_size": 8, "num_heads": 2, "num_hidden_layers": 1"#;

    #[test]
    fn what_is_written_is_read_again() {
        let tokens = SpecialTokens { begin: Some(0), end: vec![2, 5], pad: None };
        for name in presets::names() {
            let mut model = presets::find(name).unwrap().model;
            match model.architecture {
                Architecture::Xlstm => model.cell_eps = 1e-5,
                Architecture::Transformer => {
                    model.attention_bias = true;
                    model.rope_scaling = match model.num_blocks % 3 {
                        0 => RopeScaling::Unscaled,
                        1 => RopeScaling::Linear { factor: 2.5 },
                        _ => RopeScaling::Llama3 { factor: 8.0, low: 1.0, high: 4.0, original_context: 512 },
                    };
                }
            }
            let text = to_json(&model, &tokens, Stored::Bf16).to_string();
            let path = Path::new("config.json");
            assert_eq!(read(path, &text, Some(model.feed_forward_dim)).unwrap(), model, "{name}");
            assert_eq!(read(path, &text, None).unwrap(), model, "{name}");
            assert_eq!(special_tokens(path, &text).unwrap(), tokens);
        }
    }

    #[test]
    fn factors_give_the_sizes_again_when_cut_off() {
        use super::writing::factor;
        // Without the next float up, some would come out one too small.
        assert!((1..=512).any(|size| 176.0 * (size as f64 / 176.0) < size as f64));
        for width in (2..=512).step_by(2) {
            for size in 1..=2 * width {
                assert_eq!((width as f64 * factor(size, width)) as usize, size, "{size} of {width}");
            }
        }
    }

    /// 2.667 · 768 is 2048.256, which the authors' PyTorch code makes 2048 of and xlstm-jax, which trained the models, 2112:
    /// the weights decide.
    #[test]
    fn the_feed_forward_width_is_that_of_the_weights() {
        let text = XLSTM.replace("\"hidden_size\": 8", "\"hidden_size\": 768, \"ffn_proj_factor\": 2.667");
        let width = |rows| read(Path::new("config.json"), &format!("{{{text}}}"), rows).unwrap().feed_forward_dim;
        assert_eq!((width(None), width(Some(2112))), (2048, 2112));
    }

    #[test]
    fn the_rotary_base_is_found_in_older_and_newer_files() {
        let theta = |keys: &str| json(&format!("{{{LLAMA}{keys}}}")).map(|model| model.rope_theta);
        assert_eq!(theta("").unwrap(), 10_000.0);
        assert_eq!(theta(r#", "rope_theta": 5e5, "rope_scaling": null"#).unwrap(), 5e5);
        assert_eq!(theta(r#", "rope_parameters": {"rope_type": "default", "rope_theta": 3e5}"#).unwrap(), 3e5);
        assert_eq!(theta(r#", "rope_theta": 7.0, "rope_parameters": {"rope_theta": 7.0}"#).unwrap(), 7.0);
        for (keys, part) in [
            (
                r#", "rope_theta": 7.0, "rope_parameters": {"rope_theta": 8.0}"#,
                "`rope_theta` is 7 but `rope_parameters.rope_theta` is 8",
            ),
            (
                r#", "rope_scaling": {"type": "dynamic", "factor": 2.0}"#,
                "`rope_scaling.type` asks for the rotary type \"dynamic\", which is not implemented; \"default\", \"linear\", \
                 \"llama3\" work",
            ),
            (r#", "rope_parameters": {"rope_type": "yarn", "factor": 2.0}"#, "`rope_parameters.rope_type` asks for"),
            (
                r#", "rope_parameters": {"rope_type": "llama3", "rope_theta": 8.0}"#,
                "`rope_parameters.factor` is missing",
            ),
            (r#", "rope_scaling": {"rope_type": "linear"}"#, "`rope_scaling.factor` is missing"),
            (r#", "rope_scaling": {"rope_type": "linear", "factor": "2"}"#, "`rope_scaling.factor` must be a number"),
            (r#", "rope_scaling": {"rope_type": "linear", "factor": -2}"#, "`rope_factor` is -2"),
            (
                r#", "rope_scaling": {"type": "linear", "factor": 2}, "rope_parameters": {"rope_type": "default"}"#,
                "`rope_scaling` says Linear { factor: 2.0 } but `rope_parameters` Unscaled",
            ),
            (r#", "rope_parameters": {"rope_theta": 8.0, "partial_rotary_factor": 0.5}"#, "partial_rotary_factor"),
            (r#", "rope_parameters": 3"#, "must be an object"),
            (r#", "rope_parameters": {"rope_theta": "8"}"#, "must be a number"),
        ] {
            let error = theta(keys).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn scaled_frequencies_are_found_in_older_and_newer_files() {
        let scaling = |keys: &str| json(&format!("{{{LLAMA}{keys}}}")).map(|model| model.rope_scaling);
        let linear = RopeScaling::Linear { factor: 4.0 };
        let llama3 = |original_context| RopeScaling::Llama3 { factor: 8.0, low: 1.0, high: 4.0, original_context };
        let numbers = r#""factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0"#;
        for (keys, expected) in [
            (r#", "rope_scaling": {"type": "linear", "factor": 4}"#.to_owned(), linear),
            (r#", "rope_scaling": {"rope_type": "linear", "factor": 4.0}"#.to_owned(), linear),
            (r#", "rope_parameters": {"rope_type": "linear", "factor": 4, "rope_theta": 8.0}"#.to_owned(), linear),
            (r#", "rope_scaling": {"type": "default", "factor": 4.0}"#.to_owned(), RopeScaling::Unscaled),
            // The newer name is the one that counts, and an object without either says nothing.
            (r#", "rope_scaling": {"type": "dynamic", "rope_type": "linear", "factor": 4}"#.to_owned(), linear),
            (
                r#", "rope_scaling": {"type": "linear", "factor": 4}, "rope_parameters": {"rope_theta": 8.0}"#
                    .to_owned(),
                linear,
            ),
            (
                format!(
                    r#", "rope_scaling": {{"rope_type": "llama3", {numbers}, "original_max_position_embeddings": 8192}}"#
                ),
                llama3(8192),
            ),
            // As transformers fills up what is not there.
            (
                format!(r#", "max_position_embeddings": 99, "rope_scaling": {{"rope_type": "llama3", {numbers}}}"#),
                llama3(99),
            ),
            (
                format!(
                    r#", "original_max_position_embeddings": 77, "rope_parameters": {{"rope_type": "llama3", {numbers}}}"#
                ),
                llama3(77),
            ),
        ] {
            assert_eq!(scaling(&keys).unwrap(), expected, "{keys}");
        }
    }

    #[test]
    fn plain_files_are_read_as_yaml() {
        let text = "embedding_dim: 64\nnum_heads: 2\nnum_blocks: 3\nvocab_size: 97\nuse_bias: false\nnorm_eps: 1e-05\n\
                    eps: 1e-6\nmode: \"inference\"\noptimizer:\n  rate: 3.0\n  names: [a, b]\n";
        let model = read(Path::new("config.yaml"), text, Some(192)).unwrap();
        assert_eq!((model.embedding_dim, model.num_blocks, model.norm_eps), (64, 3, 1e-5));
        for (text, part) in
            [("- a\n", "keys with values"), ("a: [\n", "config.yaml"), ("a: &x [*x, *x]\n", "config.yaml")]
        {
            let error = read(Path::new("config.yaml"), text, None).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn tokens_are_one_or_several() {
        let tokens = |text: &str| special_tokens(Path::new("g.json"), text);
        let both = tokens(r#"{"bos_token_id": 1, "eos_token_id": [2, 3], "pad_token_id": null}"#).unwrap();
        assert_eq!(both, SpecialTokens { begin: Some(1), end: vec![2, 3], pad: None });
        let or = tokens(r#"{"eos_token_id": 7}"#).unwrap().or(both);
        assert_eq!(or, SpecialTokens { begin: Some(1), end: vec![7], pad: None });
        assert!(tokens(r#"{"eos_token_id": -1}"#).unwrap_err().to_string().contains("`eos_token_id` must be"));
    }

    #[test]
    fn what_cannot_be_is_refused_by_name() {
        let refused = |text: &str, part: &str| {
            let error = json(text).unwrap_err().to_string();
            assert!(error.starts_with("dir/config.json") && error.contains(part), "{part}: {error}");
        };
        refused("[]", "object");
        refused("{", "EOF");
        refused("{}", "`model_type` is missing");
        refused("{\"model_type\": \"gpt2\"}", "`model_type` is \"gpt2\"");
        refused("{\"architectures\": [\"MambaForCausalLM\"]}", "MambaForCausalLM");
        refused("{\"model_type\": \"llama\", \"architectures\": [\"xLSTMForCausalLM\"]}", "different architectures");
        refused("{\"model_type\": \"xlstm\", \"vocab_size\": 9}", "`embedding_dim` or `hidden_size` is missing");
        refused("{\"model_type\": \"xlstm\", \"embedding_dim\": 8, \"hidden_size\": 9}", "they mean the same");
        refused("{\"model_type\": \"llama\", \"hidden_act\": \"gelu\"}", "gelu");
        for (key, part) in [
            ("\"num_blocks\": 2", "`num_blocks` is 2 but `num_hidden_layers` is 1"),
            ("\"use_bias\": true", "`use_bias`"),
            ("\"add_out_norm\": false", "`add_out_norm`"),
            ("\"gate_soft_cap\": null", "`gate_soft_cap`"),
            ("\"gate_soft_cap\": -1", "`gate_soft_cap` is -1"),
            ("\"qk_dim_factor\": 0.4", "`qk_dim_factor` makes 3 features"),
            ("\"norm_eps\": \"small\"", "`norm_eps` must be a number"),
            ("\"vocab_size\": 9.5", "`vocab_size` must be a whole number"),
            ("\"vocab_size\": 0", "`vocab_size` is 0"),
            ("\"vocab_size\": 5000000000", "`vocab_size` is 5000000000"),
        ] {
            refused(&format!("{{{XLSTM}, {key}}}"), part);
        }
        for (key, part) in [
            ("\"attention_bias\": 1", "`attention_bias` must be true or false"),
            ("\"num_key_value_heads\": 3", "`num_key_value_heads` is 3"),
            ("\"num_attention_heads\": 3", "`num_attention_heads` 3"),
            ("\"head_dim\": 3", "`qk_head_dim` is 3"),
            ("\"tie_word_embeddings\": 1", "must be true or false"),
        ] {
            // The last of two equal keys counts.
            refused(&format!("{{{LLAMA}, {key}}}"), part);
        }
    }
}
