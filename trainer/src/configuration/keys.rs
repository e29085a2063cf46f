//! Every key of a configuration file: its section, what values it takes, and what it means.
//! Checking of files and flags, the comments in a run's `config.toml` and the guide follow from
//! this table.

use gradus_engine::ops::optimizer::{LEAST_SCALE, MOST_SCALE};
use toml::Value;

use crate::device_choice::DeviceChoice;
use crate::duration;

/// The values that a key takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// A whole number from the first to the second.
    Count(u64, u64),
    /// A size, or the word `auto`.
    SizeOrAuto,
    /// A finite number above zero.
    Positive,
    /// A finite number of at least zero.
    NonNegative,
    /// A number from 0 to 1, both included.
    Fraction,
    /// A number above 0, at most 1.
    Share,
    /// A number from 0 to below 1.
    BelowOne,
    /// A number from 1 to 2^24, the bounds of a dynamic loss scale.
    LossScale,
    /// A finite number above zero, or the word `none`.
    PositiveOrNone,
    /// `true` or `false`.
    Switch,
    /// Text that is not empty.
    Text,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A length of time such as `5m`.
    Time,
    /// `auto`, `cpu`, `gpu` or `gpu:N`.
    Device,
}

/// One key.
#[derive(Debug)]
pub struct Key {
    /// The section it stands in.
    pub section: &'static str,
    /// Its name.
    pub name: &'static str,
    /// The values that it takes.
    pub kind: Kind,
    /// What it means, one line.
    pub meaning: &'static str,
}

/// The sections in the order in which they are written.
pub const SECTIONS: [&str; 8] =
    ["model", "data", "optimizer", "schedule", "train", "precision", "evaluation", "checkpoint"];

/// The largest whole number accepted anywhere: what TOML's integers hold.
pub const LARGEST_COUNT: u64 = i64::MAX as u64;

/// The largest size: of a batch, a context, a number of tokens.
pub const LARGEST_SIZE: u64 = i32::MAX as u64;

/// The most batches made ahead.
pub const LARGEST_PREFETCH: u64 = 1024;

const fn key(section: &'static str, name: &'static str, kind: Kind, meaning: &'static str) -> Key {
    Key { section, name, kind, meaning }
}

/// All keys, by section.
pub static KEYS: [Key; 64] = {
    use Kind::*;
    const ONE: Kind = Kind::Count(1, LARGEST_COUNT);
    const SIZE: Kind = Kind::Count(1, LARGEST_SIZE);
    [
        key("model", "preset", Text, "the preset that gives every key of this section that is not given here"),
        key("model", "architecture", Choice(&["xlstm", "transformer"]), "the family of the model"),
        key("model", "vocab_size", SIZE, "number of different tokens; 256 for bytes"),
        key("model", "embedding_dim", SIZE, "width of the residual stream"),
        key("model", "num_blocks", SIZE, "blocks, each a mixing layer and a feed-forward layer"),
        key("model", "num_heads", SIZE, "heads of the mLSTM or of the attention's queries"),
        key("model", "num_key_value_heads", SIZE, "transformer: heads of keys and values; divides num_heads"),
        key("model", "qk_head_dim", SIZE, "size of a head's query and key"),
        key("model", "v_head_dim", SIZE, "size of a head's value"),
        key("model", "feed_forward_dim", SIZE, "inner width of the feed-forward layer"),
        key("model", "norm_eps", Positive, "added to the mean square inside the norms"),
        key("model", "cell_eps", Positive, "xlstm: added to the denominator of the mLSTM"),
        key("model", "rope_theta", Positive, "transformer: base of the rotary embedding"),
        key(
            "model",
            "rope_type",
            Choice(&["default", "linear", "llama3"]),
            "transformer: how the rotary embedding's frequencies are scaled",
        ),
        key(
            "model",
            "rope_factor",
            Positive,
            "linear, llama3: what frequencies, or those of long waves, are divided by",
        ),
        key(
            "model",
            "rope_low_freq_factor",
            Positive,
            "llama3: waves that pass less often through the first context are long",
        ),
        key(
            "model",
            "rope_high_freq_factor",
            Positive,
            "llama3: waves that pass more often through it keep their frequency",
        ),
        key("model", "rope_original_context", SIZE, "llama3: tokens of the first context"),
        key(
            "model",
            "attention_bias",
            Switch,
            "transformer: whether query, key, value and output projection have biases",
        ),
        key("model", "mlp_bias", Switch, "transformer: whether the matrices of the feed-forward layer have biases"),
        key("model", "gate_soft_cap", Positive, "xlstm: gates x become c*tanh(x/c)"),
        key("model", "output_logit_soft_cap", PositiveOrNone, "logits x become c*tanh(x/c); \"none\" leaves them"),
        key("model", "tie_word_embeddings", Switch, "whether the output head is the embedding"),
        key("model", "chunk_size", SIZE, "xlstm: chunk length of the mLSTM; changes speed, not results"),
        key("model", "context_length", SIZE, "tokens of one training sequence"),
        key(
            "data",
            "path",
            Text,
            "text file or folder to train on; unset: Rust sources of this program's own dependencies",
        ),
        key(
            "data",
            "validation_fraction",
            Share,
            "share of a text held out for validation; prepared data and the default text have a held-out part of their own",
        ),
        key(
            "data",
            "task",
            Choice(&["recall", "copy", "parity", "modular"]),
            "a synthetic task in the place of text, made as it is needed",
        ),
        key(
            "data",
            "document_reset",
            Switch,
            "prepared data: whether attention and the mLSTM's state end at the borders of documents",
        ),
        key("optimizer", "learning_rate", Positive, "peak learning rate"),
        key("optimizer", "beta1", BelowOne, "AdamW: decay of the first moment"),
        key("optimizer", "beta2", BelowOne, "AdamW: decay of the second moment"),
        key("optimizer", "epsilon", Positive, "AdamW: added to the root of the second moment"),
        key(
            "optimizer",
            "weight_decay",
            NonNegative,
            "AdamW: decay of matrices; embeddings, norms and biases have none",
        ),
        key("optimizer", "gradient_clip", Positive, "largest norm of all gradients together"),
        key(
            "schedule",
            "shape",
            Choice(&["cosine", "constant", "linear", "warmup-stable-decay"]),
            "what the learning rate does after the warm-up",
        ),
        key("schedule", "warmup", Fraction, "share of the run in which the rate rises from 0 to its peak"),
        key("schedule", "decay", Fraction, "share of the run in which warmup-stable-decay decays"),
        key("schedule", "final_fraction", Fraction, "the last rate as a share of the peak"),
        key("train", "device", Device, "auto, cpu, gpu or gpu:N"),
        key(
            "train",
            "init",
            Text,
            "folder of weights to start from, in Hugging Face layout, of a run or a checkpoint; unset: random weights",
        ),
        key("train", "steps", ONE, "optimizer steps of the run; unset: no limit by steps"),
        key("train", "max_time", Time, "length of the run, as 90s, 5m or 1h30m; unset: no limit by time"),
        key(
            "train",
            "batch",
            SizeOrAuto,
            "sequences that are computed at once; \"auto\": the largest power of two that fits into memory, up to 16384 tokens on the CPU and 524288 on a GPU",
        ),
        key(
            "train",
            "accumulation",
            SIZE,
            "batches of one optimizer step, whose gradients are added up: batch x accumulation sequences a step",
        ),
        key("train", "seed", Count(0, LARGEST_COUNT), "seed of the weights and of the order of the data"),
        key("train", "log_every", ONE, "steps between lines where the output is no terminal"),
        key("train", "prefetch", Count(1, LARGEST_PREFETCH), "batches made ahead of the step that uses them"),
        key(
            "train",
            "gradient_checkpointing",
            Switch,
            "keep only the inputs of blocks for the way back and compute the rest again: less memory, same results",
        ),
        key(
            "precision",
            "mode",
            Choice(&["f32", "mixed"]),
            "f32, or f16 for matrices and activations where that is safe",
        ),
        key(
            "precision",
            "on_non_finite",
            Choice(&["skip", "stop"]),
            "what to do with a step whose gradients are NaN or infinite",
        ),
        key("precision", "initial_loss_scale", LossScale, "mixed: first factor on the loss"),
        key("precision", "loss_scale_interval", ONE, "mixed: good steps after which the factor doubles"),
        key("evaluation", "every", ONE, "steps between evaluations; unset: by `interval`"),
        key("evaluation", "interval", Share, "share of the run between evaluations where `every` is unset"),
        key("evaluation", "tokens", SIZE, "validation tokens of one evaluation, rounded up to whole batches"),
        key(
            "evaluation",
            "short_sample_tokens",
            Count(0, LARGEST_SIZE),
            "tokens of the text generated at each evaluation; 0 for none",
        ),
        key(
            "evaluation",
            "sample_tokens",
            Count(0, LARGEST_SIZE),
            "tokens of the text generated at the end of the run",
        ),
        key("evaluation", "sample_prompt", Text, "what these texts begin with"),
        key("evaluation", "sample_temperature", NonNegative, "their temperature; 0 takes the likeliest token"),
        key("checkpoint", "every", ONE, "steps between checkpoints; unset: by `interval`"),
        key("checkpoint", "interval", Share, "share of the run between checkpoints where `every` is unset"),
        key("checkpoint", "keep", SIZE, "newest checkpoints kept; older ones are deleted"),
        key(
            "checkpoint",
            "best",
            Switch,
            "save at each evaluation with a lower loss than all before, and keep that checkpoint beside the newest",
        ),
    ]
};

impl Kind {
    /// Whether every value of it is text.
    pub fn is_text(self) -> bool {
        matches!(self, Self::Text | Self::Choice(_) | Self::Time | Self::Device)
    }

    /// What is allowed, in words.
    pub fn allowed(self) -> String {
        match self {
            Self::Count(least, most) => format!("a whole number from {least} to {most}"),
            Self::SizeOrAuto => format!("{}, or \"auto\"", Self::Count(1, LARGEST_SIZE).allowed()),
            Self::Positive => "a number above zero and finite".into(),
            Self::NonNegative => "a number of at least zero and finite".into(),
            Self::Fraction => "a number from 0 to 1".into(),
            Self::Share => "a number above 0 and at most 1".into(),
            Self::BelowOne => "a number from 0 to below 1".into(),
            Self::LossScale => format!("a number from {LEAST_SCALE} to {MOST_SCALE}"),
            Self::PositiveOrNone => "a number above zero and finite, or \"none\"".into(),
            Self::Switch => "true or false".into(),
            Self::Text => "text that is not empty".into(),
            Self::Choice(words) => format!("one of {}", words.join(", ")),
            Self::Time => "a length of time such as 90s, 5m or 1h30m".into(),
            Self::Device => "auto, cpu, gpu or gpu:N".into(),
        }
    }

    /// Checks one value.
    ///
    /// # Errors
    /// Says what the value is and what is allowed.
    pub fn check(self, value: &Value) -> Result<(), String> {
        match self {
            Self::Count(least, most) => match value {
                Value::Integer(count) if u64::try_from(*count).is_ok_and(|count| (least..=most).contains(&count)) => {
                    Ok(())
                }
                other => Err(format!("is {}; it must be {}", shown(other), self.allowed())),
            },
            Self::SizeOrAuto if value.as_str() == Some("auto") => Ok(()),
            Self::SizeOrAuto => {
                let size = Self::Count(1, LARGEST_SIZE).check(value);
                size.map_err(|problem| problem + ", or \"auto\"")
            }
            Self::Positive => self.number(value, |x| x > 0.0),
            Self::NonNegative => self.number(value, |x| x >= 0.0),
            Self::Fraction => self.number(value, |x| (0.0..=1.0).contains(&x)),
            Self::Share => self.number(value, |x| x > 0.0 && x <= 1.0),
            Self::BelowOne => self.number(value, |x| (0.0..1.0).contains(&x)),
            Self::LossScale => self.number(value, |x| (LEAST_SCALE..=MOST_SCALE).contains(&x)),
            Self::PositiveOrNone if value.as_str() == Some("none") => Ok(()),
            Self::PositiveOrNone => self.number(value, |x| x > 0.0),
            Self::Switch if value.is_bool() => Ok(()),
            Self::Switch => Err(format!("is {}; it must be {}", shown(value), self.allowed())),
            Self::Text => match text(value)? {
                "" => Err("is empty".into()),
                _ => Ok(()),
            },
            Self::Choice(words) => {
                let word = text(value)?;
                if words.contains(&word) {
                    return Ok(());
                }
                let meant = nearest(word, words.iter().copied()).map(|word| format!("; did you mean \"{word}\"?"));
                Err(format!("is \"{word}\"; it must be {}{}", self.allowed(), meant.unwrap_or_default()))
            }
            Self::Time => duration::parse(text(value)?).map(drop),
            Self::Device => text(value)?.parse::<DeviceChoice>().map(drop),
        }
    }

    fn number(self, value: &Value, accept: impl Fn(f64) -> bool) -> Result<(), String> {
        let number = match value {
            Value::Integer(whole) => *whole as f64,
            Value::Float(number) => *number,
            other => return Err(format!("is {}; it must be {}", shown(other), self.allowed())),
        };
        if number.is_finite() && accept(number) {
            Ok(())
        } else {
            Err(format!("is {number}; it must be {}", self.allowed()))
        }
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::Table(_) => "a table".into(),
        Value::Array(_) => "a list".into(),
        plain => plain.to_string(),
    }
}

fn text(value: &Value) -> Result<&str, String> {
    value.as_str().ok_or_else(|| format!("is {}; it must be text in quotes", shown(value)))
}

/// The key of this section and name.
pub fn find(section: &str, name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.section == section && key.name == name)
}

/// The candidate most like `word`, if one is near enough to be meant.
pub fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .map(|candidate| (strsim::jaro_winkler(word, candidate), candidate))
        .max_by(|left, right| left.0.total_cmp(&right.0))
        .filter(|(similarity, _)| *similarity > 0.8)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Value {
        text.parse::<toml::Table>().unwrap()["x"].clone()
    }

    #[test]
    fn each_kind_takes_and_refuses() {
        let cases: [(Kind, &[&str], &[&str]); 12] = [
            (Kind::SizeOrAuto, &["1", "'auto'"], &["0", "'8'", "'automatic'", "2147483648"]),
            (Kind::Count(0, 3), &["0", "3"], &["4", "-1"]),
            (Kind::Share, &["1", "0.1"], &["0", "1.5", "nan"]),
            (Kind::Count(1, LARGEST_COUNT), &["1", "9223372036854775807"], &["0", "-1", "1.0", "'1'", "nan", "[1]"]),
            (Kind::Positive, &["1", "0.5", "1e-9"], &["0", "-1", "nan", "inf", "'1'", "true"]),
            (Kind::NonNegative, &["0", "2.5"], &["-0.1", "-inf", "nan"]),
            (Kind::Fraction, &["0", "1", "0.5"], &["1.1", "-0.1", "nan"]),
            (Kind::BelowOne, &["0", "0.999"], &["1", "1.0", "nan"]),
            (Kind::LossScale, &["1", "65536.0", "16777216"], &["0.5", "16777217", "nan"]),
            (Kind::PositiveOrNone, &["30", "'none'"], &["'None'", "0", "inf"]),
            (Kind::Switch, &["true", "false"], &["1", "'true'"]),
            (Kind::Time, &["'5m'", "'90'"], &["300", "'0s'", "'soon'"]),
        ];
        for (kind, good, bad) in cases {
            for text in good {
                assert_eq!(kind.check(&value(&format!("x = {text}"))), Ok(()), "{kind:?} {text}");
            }
            for text in bad {
                assert!(kind.check(&value(&format!("x = {text}"))).is_err(), "{kind:?} {text}");
            }
        }
    }

    #[test]
    fn a_wrong_word_suggests_the_right_one() {
        let kind = find("schedule", "shape").unwrap().kind;
        let message = kind.check(&value("x = 'cosin'")).unwrap_err();
        assert!(message.contains("did you mean \"cosine\"?"), "{message}");
    }

    #[test]
    fn keys_are_unique_and_their_sections_known() {
        for (index, key) in KEYS.iter().enumerate() {
            assert!(SECTIONS.contains(&key.section), "{key:?}");
            assert!(!key.meaning.is_empty());
            assert!(
                !KEYS[..index].iter().any(|other| (other.section, other.name) == (key.section, key.name)),
                "{key:?}"
            );
        }
    }
}
