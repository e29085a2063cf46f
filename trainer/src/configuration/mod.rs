//! The configuration of a training run: eight sections, every key with a default.
//!
//! [`keys`] is the table of all keys, [`document`] reads a file against it, [`assignments`] what `--set` says, [`layers`] puts
//! defaults, preset, file and flags on top of one another, [`batch`] is the batch that is to be
//! chosen, [`writing`] writes the result.

mod assignments;
mod batch;
pub mod document;
pub mod keys;
pub mod layers;
#[cfg(test)]
mod reference;
pub mod shape;
pub mod writing;

use std::path::PathBuf;

use clap::ValueEnum;
use gradus_models::configuration::{Architecture, ModelConfiguration};
use serde::{Deserialize, Serialize};

use crate::data::tasks::Task;
use crate::device_choice::DeviceChoice;
use crate::duration;
use crate::schedule::{RunLength, Schedule};

pub use batch::{AutomaticBatch, BatchSize};
pub use document::Document;
pub use layers::{Flags, Layers, ModelBase};

/// Everything that decides what a run does.
#[derive(Clone, Debug, PartialEq)]
pub struct Configuration {
    /// The preset that the model was taken from, for the run's name.
    pub preset: Option<String>,
    /// Section `[model]`.
    pub model: ModelConfiguration,
    /// Section `[data]`.
    pub data: Data,
    /// Section `[optimizer]`.
    pub optimizer: Optimizer,
    /// Section `[schedule]`.
    pub schedule: Schedule,
    /// Section `[train]`.
    pub train: Train,
    /// Section `[precision]`.
    pub precision: Precision,
    /// Section `[evaluation]`.
    pub evaluation: Evaluation,
    /// Section `[checkpoint]`.
    pub checkpoint: Checkpoint,
}

/// The share of a text that is held out where nobody gives one.
pub const DEFAULT_VALIDATION_FRACTION: f64 = 0.05;

/// Section `[data]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Data {
    /// Text file or folder; `None` is the default corpus.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// Share of the user's text that is held out; of no effect where the data has a held-out part of its own.
    pub validation_fraction: f64,
    /// A synthetic task in the place of text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<Task>,
    /// Whether nothing of one document is seen from another in the same window.
    #[serde(default)]
    pub document_reset: bool,
}

/// Section `[optimizer]`: AdamW with decoupled weight decay and clipping by the global norm.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Optimizer {
    /// Peak learning rate.
    pub learning_rate: f64,
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub epsilon: f64,
    /// Decay of matrices; embeddings, norms and biases have none.
    pub weight_decay: f64,
    /// Largest norm of all gradients together.
    pub gradient_clip: f64,
}

/// Section `[train]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Train {
    /// The device asked for.
    #[serde(with = "device_as_text")]
    pub device: DeviceChoice,
    /// Folder of weights to start from; `None` is random ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub init: Option<PathBuf>,
    /// Limit by steps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<u64>,
    /// Limit by time, in the words of [`duration::parse`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_time: Option<String>,
    /// Sequences that are computed at once.
    pub batch: usize,
    /// Set until the batch is chosen, where the file or the command line has `auto`.
    #[serde(skip)]
    pub automatic_batch: Option<AutomaticBatch>,
    /// Batches of one optimizer step.
    #[serde(default = "one")]
    pub accumulation: usize,
    /// Seed of weights and data order.
    pub seed: u64,
    /// Steps between lines where the output is no terminal.
    pub log_every: u64,
    /// Batches made ahead.
    pub prefetch: usize,
    /// Whether blocks are computed again on the way back, so that less is kept.
    #[serde(default)]
    pub gradient_checkpointing: bool,
}

/// Which numbers a run computes with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// 32-bit floats everywhere.
    F32,
    /// 16-bit floats for matrices and activations where that is safe.
    Mixed,
}

impl Mode {
    /// The word for it in configurations and flags.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Mixed => "mixed",
        }
    }
}

impl From<Mode> for gradus_engine::Precision {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::F32 => Self::Full,
            Mode::Mixed => Self::Half,
        }
    }
}

/// What happens to a step whose gradients are not finite.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnNonFinite {
    /// The weights stay as they are and the run goes on.
    Skip,
    /// The run ends with an error that names the tensor.
    Stop,
}

/// Section `[precision]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Precision {
    /// Which numbers.
    pub mode: Mode,
    /// NaN and infinity.
    pub on_non_finite: OnNonFinite,
    /// First loss scale of mixed precision.
    pub initial_loss_scale: f64,
    /// Good steps after which the loss scale doubles.
    pub loss_scale_interval: u64,
}

/// Section `[evaluation]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evaluation {
    /// Steps between evaluations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub every: Option<u64>,
    /// Share of the run between evaluations where `every` is unset.
    pub interval: f64,
    /// Tokens of one evaluation.
    pub tokens: usize,
    /// Tokens of the sample after each evaluation.
    #[serde(default)]
    pub short_sample_tokens: usize,
    /// Tokens of the sample at the end.
    pub sample_tokens: usize,
    /// The samples' beginning.
    pub sample_prompt: String,
    /// The samples' temperature.
    pub sample_temperature: f64,
}

/// Section `[checkpoint]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    /// Steps between checkpoints.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub every: Option<u64>,
    /// Share of the run between checkpoints where `every` is unset.
    pub interval: f64,
    /// How many of the newest are kept.
    pub keep: usize,
    /// Whether the one of the lowest validation loss is saved and kept beside them.
    #[serde(default)]
    pub best: bool,
}

fn one() -> usize {
    1
}

mod device_as_text {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use crate::device_choice::DeviceChoice;

    pub fn serialize<S: Serializer>(device: &DeviceChoice, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(device)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<DeviceChoice, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl Configuration {
    /// The defaults for a model: batch 8 and the learning rate by its size, the gradient clip by
    /// its architecture (0.5 for an xLSTM, 1.0 for a Transformer), no limit of the run.
    pub fn for_model(model: ModelConfiguration) -> Self {
        let small = model.parameters().total() < 4_000_000;
        let gradient_clip = match model.architecture {
            Architecture::Xlstm => 0.5,
            Architecture::Transformer => 1.0,
        };
        Self {
            preset: None,
            model,
            data: Data {
                path: None,
                validation_fraction: DEFAULT_VALIDATION_FRACTION,
                task: None,
                document_reset: false,
            },
            optimizer: Optimizer {
                learning_rate: if small { 3e-3 } else { 1e-3 },
                beta1: 0.9,
                beta2: 0.95,
                epsilon: 1e-8,
                weight_decay: 0.1,
                gradient_clip,
            },
            schedule: Schedule::default(),
            train: Train {
                device: DeviceChoice::Auto,
                init: None,
                steps: None,
                max_time: None,
                batch: 8,
                automatic_batch: None,
                accumulation: 1,
                seed: 0,
                log_every: 10,
                prefetch: 4,
                gradient_checkpointing: false,
            },
            precision: Precision {
                mode: Mode::F32,
                on_non_finite: OnNonFinite::Skip,
                initial_loss_scale: 65_536.0,
                loss_scale_interval: 2_000,
            },
            evaluation: Evaluation {
                every: None,
                interval: 0.1,
                tokens: 32_768,
                short_sample_tokens: 40,
                sample_tokens: 300,
                sample_prompt: "fn ".into(),
                sample_temperature: 0.8,
            },
            checkpoint: Checkpoint { every: None, interval: 0.1, keep: 2, best: true },
        }
    }

    /// When the run ends.
    pub fn run_length(&self) -> RunLength {
        let seconds = self.train.max_time.as_deref().and_then(|text| duration::parse(text).ok());
        RunLength { steps: self.train.steps, seconds: seconds.map(|time| time.as_secs_f64()) }
    }

    /// Tokens of one optimizer step.
    pub fn tokens_per_step(&self) -> usize {
        self.tokens_per_batch() * self.train.accumulation
    }

    /// Tokens that are computed at once.
    pub fn tokens_per_batch(&self) -> usize {
        self.train.batch * self.model.context_length
    }

    /// Sequences of one evaluation: enough for `tokens`, rounded up to whole batches.
    pub fn evaluation_windows(&self) -> usize {
        self.evaluation.tokens.div_ceil(self.tokens_per_batch()) * self.train.batch
    }

    /// What the run is called in its folder's name: the preset, else the architecture.
    pub fn name(&self) -> String {
        self.preset.clone().unwrap_or_else(|| self.model.architecture.to_string())
    }
}
