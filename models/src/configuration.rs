//! What a model is, before it has any weights: its architecture and sizes.
//!
//! A [`ModelConfiguration`] is the `[model]` section of a TOML file. [`presets`] holds the
//! configurations that ship with gradus, [`counts`] the exact number of parameters of each part.

pub mod counts;
pub mod presets;
pub mod rotary;

use gradus_engine::ops::attention::MOST_HEAD_DIM;
use gradus_engine::ops::mlstm::CHUNK_SIZES;
use serde::{Deserialize, Serialize};

pub use counts::ParameterCounts;
pub use presets::Preset;
use rotary::RopeKeys;
pub use rotary::{RopeScaling, RopeType};

/// Chunk length of the mLSTM's chunkwise form where a file names none.
pub const DEFAULT_CHUNK_SIZE: usize = 64;
/// Soft cap of the mLSTM's gate pre-activations where a file names none.
pub const DEFAULT_GATE_SOFT_CAP: f64 = 15.0;
/// Soft cap of an xLSTM's output logits where a file names none.
pub const DEFAULT_OUTPUT_LOGIT_SOFT_CAP: f64 = 30.0;
/// Base of the rotary embedding's angles where a file names none.
pub const DEFAULT_ROPE_THETA: f64 = 10_000.0;
/// Added to the mean square inside every norm where a file names none.
pub const DEFAULT_NORM_EPS: f64 = 1e-6;
/// Added to the mLSTM's denominator where a file names nothing else.
pub const DEFAULT_CELL_EPS: f64 = 1e-6;

/// The family of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Architecture {
    /// The xLSTM with the block of xLSTM 7B: mLSTM layer and SwiGLU, both behind an RMSNorm.
    Xlstm,
    /// The Llama-style Transformer: rotary attention and SwiGLU, both behind an RMSNorm.
    Transformer,
}

impl std::fmt::Display for Architecture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Xlstm => "xlstm",
            Self::Transformer => "transformer",
        })
    }
}

/// What is wrong with a model's configuration.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ConfigurationError {
    /// A field holds a value that no model can have.
    #[error("model configuration: `{field}` {problem}")]
    Field {
        /// The field's name in the file.
        field: &'static str,
        /// What is wrong with its value, and what is allowed.
        problem: String,
    },
    /// The text is not a model configuration: unknown or missing key, wrong type, bad TOML.
    #[error("model configuration: {0}")]
    Text(String),
    /// No preset has this name.
    #[error("there is no preset `{name}`{}", suggestion(.nearest))]
    UnknownPreset {
        /// The name asked for.
        name: String,
        /// The preset whose name is nearest to it, if any is near.
        nearest: Option<&'static str>,
    },
}

fn suggestion(nearest: &Option<&'static str>) -> String {
    match nearest {
        Some(nearest) => format!("; did you mean `{nearest}`?"),
        None => format!("; there are {}", presets::names().collect::<Vec<_>>().join(", ")),
    }
}

/// The sizes of a model. Unknown keys are errors when it is read, and so are keys of the other
/// architecture. Reading fills what may be left out; it does not call [`Self::validate`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct ModelConfiguration {
    /// The family.
    pub architecture: Architecture,
    /// Number of different tokens: rows of the embedding and of the output head.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub embedding_dim: usize,
    /// Number of blocks, each a mixing layer and a feed-forward layer.
    pub num_blocks: usize,
    /// Heads of the mLSTM, or query heads of the attention.
    pub num_heads: usize,
    /// Key and value heads of the attention; divides `num_heads`. An xLSTM has `num_heads`.
    pub num_key_value_heads: usize,
    /// Size of one head's query and key.
    pub qk_head_dim: usize,
    /// Size of one head's value.
    pub v_head_dim: usize,
    /// Inner width of the SwiGLU feed-forward layer.
    pub feed_forward_dim: usize,
    /// Epsilon of the norms.
    pub norm_eps: f64,
    /// Epsilon of the mLSTM's denominator (xLSTM).
    pub cell_eps: f64,
    /// Base of the rotary embedding's angles (Transformer).
    pub rope_theta: f64,
    /// How these angles are scaled (Transformer).
    pub rope_scaling: RopeScaling,
    /// Whether query, key, value and output projection have biases (Transformer).
    pub attention_bias: bool,
    /// Whether the three matrices of the feed-forward layer have biases (Transformer).
    pub mlp_bias: bool,
    /// Gate pre-activations x become c·tanh(x/c) with this c (xLSTM).
    pub gate_soft_cap: f64,
    /// Output logits x become c·tanh(x/c) with this c; `None` leaves them as they are.
    pub output_logit_soft_cap: Option<f64>,
    /// Whether the output head is the embedding itself.
    pub tie_word_embeddings: bool,
    /// Chunk length of the mLSTM's chunkwise form (xLSTM). Changes speed, not results.
    pub chunk_size: usize,
    /// Tokens of one training sequence.
    pub context_length: usize,
}

/// The keys as a file has them: what one architecture does not have is absent.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    architecture: Architecture,
    vocab_size: usize,
    embedding_dim: usize,
    num_blocks: usize,
    num_heads: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    num_key_value_heads: Option<usize>,
    qk_head_dim: usize,
    v_head_dim: usize,
    feed_forward_dim: usize,
    norm_eps: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cell_eps: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rope_theta: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rope_type: Option<RopeType>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rope_factor: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rope_low_freq_factor: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rope_high_freq_factor: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rope_original_context: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attention_bias: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mlp_bias: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gate_soft_cap: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_logit_soft_cap: Option<SoftCap>,
    #[serde(default)]
    tie_word_embeddings: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    chunk_size: Option<usize>,
    context_length: usize,
}

/// A cap, or the word `none`: TOML has no null, and an xLSTM without the key has a cap.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum SoftCap {
    Value(f64),
    Word(String),
}

impl TryFrom<Written> for ModelConfiguration {
    type Error = ConfigurationError;

    fn try_from(written: Written) -> Result<Self, ConfigurationError> {
        let xlstm = written.architecture == Architecture::Xlstm;
        let foreign: &[_] = if xlstm {
            &[
                ("num_key_value_heads", written.num_key_value_heads.is_some()),
                ("rope_theta", written.rope_theta.is_some()),
                ("rope_type", written.rope_type.is_some()),
                ("rope_factor", written.rope_factor.is_some()),
                ("rope_low_freq_factor", written.rope_low_freq_factor.is_some()),
                ("rope_high_freq_factor", written.rope_high_freq_factor.is_some()),
                ("rope_original_context", written.rope_original_context.is_some()),
                ("attention_bias", written.attention_bias.is_some()),
                ("mlp_bias", written.mlp_bias.is_some()),
            ]
        } else {
            &[
                ("gate_soft_cap", written.gate_soft_cap.is_some()),
                ("chunk_size", written.chunk_size.is_some()),
                ("cell_eps", written.cell_eps.is_some()),
            ]
        };
        if let Some(&(field, _)) = foreign.iter().find(|(_, given)| *given) {
            let problem = format!("is not a key of the architecture `{}`", written.architecture);
            return Err(ConfigurationError::Field { field, problem });
        }
        let output_logit_soft_cap = match written.output_logit_soft_cap {
            Some(SoftCap::Value(cap)) => Some(cap),
            Some(SoftCap::Word(word)) if word == "none" => None,
            Some(SoftCap::Word(word)) => {
                return Err(ConfigurationError::Field {
                    field: "output_logit_soft_cap",
                    problem: format!("is \"{word}\"; give a number or \"none\""),
                });
            }
            None => xlstm.then_some(DEFAULT_OUTPUT_LOGIT_SOFT_CAP),
        };
        Ok(Self {
            architecture: written.architecture,
            vocab_size: written.vocab_size,
            embedding_dim: written.embedding_dim,
            num_blocks: written.num_blocks,
            num_heads: written.num_heads,
            num_key_value_heads: written.num_key_value_heads.unwrap_or(written.num_heads),
            qk_head_dim: written.qk_head_dim,
            v_head_dim: written.v_head_dim,
            feed_forward_dim: written.feed_forward_dim,
            norm_eps: written.norm_eps.unwrap_or(DEFAULT_NORM_EPS),
            cell_eps: written.cell_eps.unwrap_or(DEFAULT_CELL_EPS),
            rope_theta: written.rope_theta.unwrap_or(DEFAULT_ROPE_THETA),
            rope_scaling: RopeKeys {
                rope_type: written.rope_type,
                factor: written.rope_factor,
                low: written.rope_low_freq_factor,
                high: written.rope_high_freq_factor,
                original_context: written.rope_original_context,
            }
            .scaling()?,
            attention_bias: written.attention_bias.unwrap_or(false),
            mlp_bias: written.mlp_bias.unwrap_or(false),
            gate_soft_cap: written.gate_soft_cap.unwrap_or(DEFAULT_GATE_SOFT_CAP),
            output_logit_soft_cap,
            tie_word_embeddings: written.tie_word_embeddings,
            chunk_size: written.chunk_size.unwrap_or(DEFAULT_CHUNK_SIZE),
            context_length: written.context_length,
        })
    }
}

impl From<ModelConfiguration> for Written {
    fn from(model: ModelConfiguration) -> Self {
        let xlstm = model.architecture == Architecture::Xlstm;
        let rope = if xlstm { RopeKeys::default() } else { model.rope_scaling.into() };
        Self {
            architecture: model.architecture,
            vocab_size: model.vocab_size,
            embedding_dim: model.embedding_dim,
            num_blocks: model.num_blocks,
            num_heads: model.num_heads,
            num_key_value_heads: (!xlstm).then_some(model.num_key_value_heads),
            qk_head_dim: model.qk_head_dim,
            v_head_dim: model.v_head_dim,
            feed_forward_dim: model.feed_forward_dim,
            norm_eps: Some(model.norm_eps),
            // Only where it is not the usual one: few files have it.
            cell_eps: xlstm.then_some(model.cell_eps),
            rope_theta: (!xlstm).then_some(model.rope_theta),
            rope_type: rope.rope_type,
            rope_factor: rope.factor,
            rope_low_freq_factor: rope.low,
            rope_high_freq_factor: rope.high,
            rope_original_context: rope.original_context,
            attention_bias: (!xlstm).then_some(model.attention_bias),
            mlp_bias: (!xlstm).then_some(model.mlp_bias),
            gate_soft_cap: xlstm.then_some(model.gate_soft_cap),
            output_logit_soft_cap: Some(match model.output_logit_soft_cap {
                Some(cap) => SoftCap::Value(cap),
                None => SoftCap::Word("none".into()),
            }),
            tie_word_embeddings: model.tie_word_embeddings,
            chunk_size: xlstm.then_some(model.chunk_size),
            context_length: model.context_length,
        }
    }
}

impl ModelConfiguration {
    /// The rotary embedding's frequencies, in radians a position (Transformer).
    pub fn rope_frequencies(&self) -> Vec<f64> {
        self.rope_scaling.frequencies(self.rope_theta, self.qk_head_dim)
    }

    /// Checks that a model with these sizes can be built.
    ///
    /// # Errors
    /// [`ConfigurationError::Field`] with the first field that is zero, not finite, beyond what
    /// an index holds, or that does not fit another.
    pub fn validate(&self) -> Result<(), ConfigurationError> {
        let sizes = [
            ("vocab_size", self.vocab_size),
            ("embedding_dim", self.embedding_dim),
            ("num_blocks", self.num_blocks),
            ("num_heads", self.num_heads),
            ("num_key_value_heads", self.num_key_value_heads),
            ("qk_head_dim", self.qk_head_dim),
            ("v_head_dim", self.v_head_dim),
            ("feed_forward_dim", self.feed_forward_dim),
            ("chunk_size", self.chunk_size),
            ("context_length", self.context_length),
        ];
        for (field, size) in sizes {
            if size == 0 {
                return fault(field, "is 0; it must be at least 1");
            }
            if size > i32::MAX as usize {
                return fault(field, format!("is {size}; the limit is {}", i32::MAX));
            }
        }
        let positive = [
            ("norm_eps", Some(self.norm_eps)),
            ("cell_eps", Some(self.cell_eps)),
            ("rope_theta", Some(self.rope_theta)),
            ("gate_soft_cap", Some(self.gate_soft_cap)),
            ("output_logit_soft_cap", self.output_logit_soft_cap),
        ];
        for (field, value) in positive {
            if let Some(value) = value.filter(|value| !(value.is_finite() && *value > 0.0)) {
                return fault(field, format!("is {value}; it must be positive and finite"));
            }
        }
        if self.architecture == Architecture::Transformer {
            self.rope_scaling.validate()?;
            let (heads, groups) = (self.num_heads, self.num_key_value_heads);
            if !heads.is_multiple_of(groups) {
                let problem = format!("is {groups}; it must divide num_heads, which is {heads}");
                return fault("num_key_value_heads", problem);
            }
            if !self.qk_head_dim.is_multiple_of(2) {
                let problem = format!("is {}; the rotary embedding turns pairs, so it must be even", self.qk_head_dim);
                return fault("qk_head_dim", problem);
            }
            if self.qk_head_dim > MOST_HEAD_DIM {
                let problem = format!(
                    "is {}; attention has kernels for heads of up to {MOST_HEAD_DIM}, the nearest that works",
                    self.qk_head_dim
                );
                return fault("qk_head_dim", problem);
            }
            if self.v_head_dim != self.qk_head_dim {
                let problem = format!(
                    "is {}; attention has kernels for values as wide as queries, whose qk_head_dim is {}",
                    self.v_head_dim, self.qk_head_dim
                );
                return fault("v_head_dim", problem);
            }
        } else if !CHUNK_SIZES.contains(&self.chunk_size) {
            let (least, most) = (*CHUNK_SIZES.start(), *CHUNK_SIZES.end());
            let nearest = self.chunk_size.clamp(least, most);
            let problem = format!(
                "is {}; the mLSTM has kernels for chunks of {least} to {most}, and the nearest that works is {nearest}",
                self.chunk_size
            );
            return fault("chunk_size", problem);
        } else if self.num_key_value_heads != self.num_heads {
            let problem =
                format!("is {}; an xLSTM has num_heads = {} of them", self.num_key_value_heads, self.num_heads);
            return fault("num_key_value_heads", problem);
        }
        Ok(())
    }
}

fn fault<T>(field: &'static str, problem: impl Into<String>) -> Result<T, ConfigurationError> {
    Err(ConfigurationError::Field { field, problem: problem.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tiny(name: &str) -> ModelConfiguration {
        presets::find(name).unwrap().model
    }

    /// A named change that makes a good configuration bad.
    type Spoil = (&'static str, fn(&mut ModelConfiguration));

    #[test]
    fn validation_names_the_field() {
        let spoils: [Spoil; 10] = [
            ("vocab_size", |m| m.vocab_size = 0),
            ("num_blocks", |m| m.num_blocks = 0),
            ("context_length", |m| m.context_length = 1 << 40),
            ("norm_eps", |m| m.norm_eps = 0.0),
            ("rope_theta", |m| m.rope_theta = f64::NAN),
            ("gate_soft_cap", |m| m.gate_soft_cap = -1.0),
            ("output_logit_soft_cap", |m| m.output_logit_soft_cap = Some(f64::INFINITY)),
            ("num_key_value_heads", |m| m.num_key_value_heads = 3),
            ("qk_head_dim", |m| m.qk_head_dim = 7),
            ("chunk_size", |m| m.chunk_size = 0),
        ];
        for (name, spoil) in spoils {
            let mut model = tiny("llama-tiny");
            spoil(&mut model);
            match model.validate() {
                Err(ConfigurationError::Field { field, .. }) => assert_eq!(field, name),
                other => panic!("{name}: {other:?}"),
            }
        }
        let mut model = tiny("xlstm-tiny");
        model.num_key_value_heads = 2;
        assert!(model.validate().is_err());
        // Sizes that no kernel has: the limit and the nearest size that works.
        let cases: [(&str, Spoil, &str); 5] = [
            ("llama-tiny", ("qk_head_dim", |m| (m.qk_head_dim, m.v_head_dim) = (258, 258)), "up to 256"),
            ("llama-tiny", ("v_head_dim", |m| m.v_head_dim = 64), "qk_head_dim is 32"),
            ("xlstm-tiny", ("chunk_size", |m| m.chunk_size = 8), "16 to 256, and the nearest that works is 16"),
            ("xlstm-tiny", ("chunk_size", |m| m.chunk_size = 512), "16 to 256, and the nearest that works is 256"),
            ("xlstm-tiny", ("chunk_size", |m| m.chunk_size = 257), "is 257"),
        ];
        for (name, (field, spoil), says) in cases {
            let mut model = tiny(name);
            spoil(&mut model);
            let message = model.validate().unwrap_err().to_string();
            assert!(message.contains(&format!("`{field}`")) && message.contains(says), "{message}");
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        for name in ["xlstm-tiny", "llama-tiny"] {
            let mut model = tiny(name);
            for cap in [None, Some(12.5)] {
                model.output_logit_soft_cap = cap;
                if name == "llama-tiny" && cap.is_some() {
                    (model.attention_bias, model.mlp_bias) = (true, true);
                    model.rope_scaling =
                        RopeScaling::Llama3 { factor: 8.0, low: 1.0, high: 4.0, original_context: 8192 };
                }
                let text = toml::to_string(&model).unwrap();
                assert_eq!(toml::from_str::<ModelConfiguration>(&text).unwrap(), model, "{text}");
            }
        }
    }

    #[test]
    fn keys_of_the_other_architecture_are_refused() {
        let text = toml::to_string(&tiny("xlstm-tiny")).unwrap() + "rope_theta = 10000.0\n";
        let message = toml::from_str::<ModelConfiguration>(&text).unwrap_err().to_string();
        assert!(message.contains("rope_theta") && message.contains("xlstm"), "{message}");
        let text = toml::to_string(&tiny("xlstm-tiny")).unwrap() + "mlp_bias = false\n";
        assert!(toml::from_str::<ModelConfiguration>(&text).unwrap_err().to_string().contains("mlp_bias"));
        let text = toml::to_string(&tiny("llama-tiny")).unwrap() + "chunk_size = 64\n";
        assert!(toml::from_str::<ModelConfiguration>(&text).is_err());
        let text = toml::to_string(&tiny("llama-tiny")).unwrap() + "colour = 1\n";
        assert!(toml::from_str::<ModelConfiguration>(&text).is_err());
    }

    #[test]
    fn what_is_left_out_gets_the_architectures_default() {
        let required = "vocab_size = 256\nembedding_dim = 8\nnum_blocks = 1\nnum_heads = 2\nqk_head_dim = 4\n\
                        v_head_dim = 4\nfeed_forward_dim = 16\ncontext_length = 32\n";
        let xlstm: ModelConfiguration = toml::from_str(&format!("architecture = \"xlstm\"\n{required}")).unwrap();
        assert_eq!(xlstm.output_logit_soft_cap, Some(30.0));
        assert_eq!((xlstm.gate_soft_cap, xlstm.chunk_size, xlstm.num_key_value_heads), (15.0, 64, 2));
        let llama: ModelConfiguration = toml::from_str(&format!("architecture = \"transformer\"\n{required}")).unwrap();
        assert_eq!((llama.output_logit_soft_cap, llama.rope_theta, llama.num_key_value_heads), (None, 10_000.0, 2));
    }
}
