//! The configurations that ship with gradus, one TOML file each in `models/presets/`.

use serde::Deserialize;

use super::{ConfigurationError, ModelConfiguration};

/// A model with the training sizes that suit it.
#[derive(Clone, Debug, PartialEq)]
pub struct Preset {
    /// Its name, for instance `xlstm-tiny`.
    pub name: &'static str,
    /// The model; `context_length` is the default context.
    pub model: ModelConfiguration,
    /// Sequences of one optimizer step.
    pub batch: usize,
    /// Peak learning rate.
    pub learning_rate: f64,
}

/// A preset's file has the layout of a training configuration.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    model: ModelConfiguration,
    train: Train,
    optimizer: Optimizer,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Train {
    batch: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Optimizer {
    learning_rate: f64,
}

macro_rules! embedded {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_str!(concat!("../../presets/", $name, ".toml")))),*]
    };
}

/// Name and text of every preset, from small to large.
static FILES: [(&str, &str); 16] = embedded![
    "xlstm-tiny",
    "llama-tiny",
    "xlstm-small",
    "llama-small",
    "xlstm-160m",
    "llama-160m",
    "xlstm-400m",
    "llama-400m",
    "xlstm-830m",
    "llama-830m",
    "xlstm-1.4b",
    "llama-1.4b",
    "xlstm-2.7b",
    "llama-2.7b",
    "xlstm-7b",
    "llama-7b",
];

/// The names of all presets, from small to large.
pub fn names() -> impl Iterator<Item = &'static str> {
    FILES.iter().map(|(name, _)| *name)
}

/// The TOML text of a preset's file, with its comment.
pub fn text(name: &str) -> Option<&'static str> {
    FILES.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

/// All presets, from small to large.
///
/// # Errors
/// As [`find`].
pub fn all() -> Result<Vec<Preset>, ConfigurationError> {
    names().map(find).collect()
}

/// The preset of this name.
///
/// # Errors
/// [`ConfigurationError::UnknownPreset`] with the nearest name.
pub fn find(name: &str) -> Result<Preset, ConfigurationError> {
    let Some((name, text)) = FILES.iter().find(|(known, _)| *known == name) else {
        return Err(ConfigurationError::UnknownPreset { name: name.into(), nearest: nearest(name) });
    };
    let file: File =
        toml::from_str(text).map_err(|error| ConfigurationError::Text(format!("preset {name}: {error}")))?;
    Ok(Preset { name, model: file.model, batch: file.train.batch, learning_rate: file.optimizer.learning_rate })
}

/// The preset whose name is most like this one, if one is near enough to be meant.
fn nearest(name: &str) -> Option<&'static str> {
    let lower = name.to_lowercase().replace('_', "-");
    names()
        .map(|known| (strsim::jaro_winkler(&lower, known), known))
        .max_by(|left, right| left.0.total_cmp(&right.0))
        .filter(|(similarity, _)| *similarity > 0.8)
        .map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configuration::Architecture;

    #[test]
    fn every_preset_is_read_and_valid() {
        for preset in all().unwrap() {
            preset.model.validate().unwrap();
            let transformer = preset.name.starts_with("llama-");
            assert_eq!(preset.model.architecture == Architecture::Transformer, transformer);
            assert!(preset.batch >= 1 && preset.learning_rate > 0.0);
            // Heads fill the residual stream; an xLSTM's queries and keys are half as wide.
            let model = &preset.model;
            assert_eq!(model.num_heads * model.v_head_dim, model.embedding_dim, "{}", preset.name);
            let share = if transformer { 1 } else { 2 };
            assert_eq!(model.num_heads * model.qk_head_dim * share, model.embedding_dim, "{}", preset.name);
        }
    }

    #[test]
    fn feed_forward_widths_follow_the_published_rule() {
        // 2.667 d made an integer (xLSTM upward, Transformer downward), then up to a multiple of 64.
        for preset in all().unwrap().iter().filter(|preset| preset.model.vocab_size == 50304) {
            let wide = 2.667 * preset.model.embedding_dim as f64;
            let whole = if preset.model.architecture == Architecture::Xlstm { wide.ceil() } else { wide.floor() };
            assert_eq!(preset.model.feed_forward_dim, (whole as usize).next_multiple_of(64), "{}", preset.name);
        }
    }

    #[test]
    fn an_unknown_name_suggests_the_nearest() {
        for (asked, meant) in
            [("xlstm-tny", "xlstm-tiny"), ("Llama_small", "llama-small"), ("xlstm-1.3b", "xlstm-1.4b")]
        {
            let error = find(asked).unwrap_err();
            assert!(error.to_string().contains(&format!("did you mean `{meant}`?")), "{error}");
        }
        let error = find("q").unwrap_err().to_string();
        assert!(error.contains("xlstm-tiny, llama-tiny"), "{error}");
    }

    #[test]
    fn text_is_the_file_of_the_name() {
        assert!(text("xlstm-7b").unwrap().contains("xLSTM 7B"));
        assert_eq!(text("xlstm"), None);
    }
}
