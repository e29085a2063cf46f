//! `gradus train`: its flags, and the run that they ask for.

use std::path::PathBuf;

use clap::Args;

use super::numbers;
use crate::configuration::{BatchSize, Flags, Layers, Mode};
use crate::data::tasks::Task;
use crate::device_choice::DeviceChoice;
use crate::error::Result;
use crate::model_source::ModelSource;

/// The flags of `train`.
#[derive(Clone, Debug, Default, Args)]
pub struct Arguments {
    /// Configuration file; the flags below override it
    #[arg(long, value_name = "FILE.toml")]
    pub config: Option<PathBuf>,
    /// A preset, a TOML file, or a folder with weights to go on from
    #[arg(long, alias = "checkpoint", value_name = "PRESET|FILE|DIR")]
    pub model: Option<String>,
    /// Start from the weights and the shape of a folder, with a fresh optimizer: in Hugging Face layout, a run or a checkpoint
    #[arg(long, value_name = "DIR", conflicts_with = "model")]
    pub init: Option<PathBuf>,
    /// Text file or folder to train on [default: Rust sources of this program's dependencies]
    #[arg(long, value_name = "PATH")]
    pub data: Option<PathBuf>,
    /// A synthetic task in the place of text, to study models by
    #[arg(long, value_enum, conflicts_with = "data")]
    pub task: Option<Task>,
    /// auto, cpu, gpu or gpu:N
    #[arg(long)]
    pub device: Option<DeviceChoice>,
    /// End after this many steps
    #[arg(long, value_name = "N", value_parser = numbers::count, allow_negative_numbers = true)]
    pub steps: Option<u64>,
    /// End after this time, as 90s, 5m or 1h30m [default: 5m, unless --steps is given]
    #[arg(long, value_name = "TIME", value_parser = numbers::time)]
    pub max_time: Option<String>,
    /// Sequences that are computed at once; auto: the largest power of two that fits into memory and is not too large to help
    #[arg(long, value_name = "N|auto", value_parser = numbers::batch, allow_negative_numbers = true)]
    pub batch: Option<BatchSize>,
    /// Batches of one step, whose gradients are added up: a step of any size in the memory of one batch
    #[arg(long, value_name = "N", value_parser = numbers::size, allow_negative_numbers = true)]
    pub accumulation: Option<u64>,
    /// Tokens of one sequence
    #[arg(long, value_name = "N", value_parser = numbers::size, allow_negative_numbers = true)]
    pub context: Option<u64>,
    /// Peak learning rate
    #[arg(long, value_name = "RATE", value_parser = numbers::positive, allow_hyphen_values = true)]
    pub learning_rate: Option<f64>,
    /// Seed of the weights and of the order of the data
    #[arg(long, value_name = "N", value_parser = numbers::seed, allow_negative_numbers = true)]
    pub seed: Option<u64>,
    /// Folder of the run [default: runs/TIME-MODEL]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Go on with an interrupted run: its folder, or one of its steps. Everything else is as it was; --device may differ
    #[arg(long, value_name = "DIR", conflicts_with_all = ["config", "model", "init", "data", "task", "steps", "max_time", "batch", "accumulation", "context", "learning_rate", "seed", "out", "eval_every", "precision", "gradient_checkpointing", "keep", "set"])]
    pub resume: Option<PathBuf>,
    /// Steps between evaluations [default: a tenth of the run]
    #[arg(long, value_name = "N", value_parser = numbers::count, allow_negative_numbers = true)]
    pub eval_every: Option<u64>,
    /// Numbers to compute with
    #[arg(long, value_enum)]
    pub precision: Option<Mode>,
    /// Compute each block again on the way back instead of keeping what it made: less memory, the same results, slower
    #[arg(long)]
    pub gradient_checkpointing: bool,
    /// Newest checkpoints kept, beside the best one [default: 2]
    #[arg(long, value_name = "N", value_parser = numbers::size, allow_negative_numbers = true)]
    pub keep: Option<u64>,
    /// Set any key of the configuration, above the file and the other flags: --set optimizer.beta2=0.99 (may be repeated);
    /// with nothing behind the equals sign, take it back to its default
    #[arg(long, value_name = "SECTION.KEY=VALUE")]
    pub set: Vec<String>,
    /// Save and end after step N, as if interrupted; --resume goes on. Not part of the configuration
    #[arg(long, value_name = "N", value_parser = numbers::count, allow_negative_numbers = true)]
    pub stop_at: Option<u64>,
}

impl Arguments {
    /// The configuration file and the flags over it.
    ///
    /// # Errors
    /// If the file cannot be read or has errors.
    pub fn layers(&self) -> Result<Layers> {
        let flags = Flags {
            init: self.init.clone(),
            data: self.data.clone(),
            task: self.task,
            device: self.device,
            steps: self.steps,
            max_time: self.max_time.clone(),
            batch: self.batch,
            accumulation: self.accumulation,
            context: self.context,
            learning_rate: self.learning_rate,
            seed: self.seed,
            eval_every: self.eval_every,
            precision: self.precision,
            gradient_checkpointing: self.gradient_checkpointing,
            keep: self.keep,
            set: self.set.clone(),
        };
        Layers::read(self.config.as_deref(), flags)
    }

    /// What `--model` names, if it was given.
    ///
    /// # Errors
    /// As [`ModelSource::find`].
    pub fn model_source(&self) -> Result<Option<ModelSource>> {
        self.model.as_deref().map(ModelSource::find).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configuration::ModelBase;

    #[test]
    fn flags_reach_the_configuration() {
        let arguments = Arguments {
            init: Some("weights".into()),
            data: Some("text".into()),
            device: Some(DeviceChoice::Gpu(Some(1))),
            steps: Some(5),
            max_time: Some("1m".into()),
            batch: Some(BatchSize::Rows(3)),
            accumulation: Some(4),
            context: Some(32),
            learning_rate: Some(0.5),
            seed: Some(11),
            eval_every: Some(2),
            precision: Some(Mode::Mixed),
            gradient_checkpointing: true,
            keep: Some(7),
            set: vec!["schedule.warmup=0.5".into()],
            ..Arguments::default()
        };
        let layers = arguments.layers().unwrap();
        assert_eq!(layers.device(), DeviceChoice::Gpu(Some(1)));
        let configuration = layers.resolve(ModelBase::FileOr("xlstm-tiny"), 256).unwrap();
        let train = &configuration.train;
        assert_eq!((train.steps, train.max_time.as_deref(), train.batch, train.seed), (Some(5), Some("1m"), 3, 11));
        assert_eq!((train.accumulation, configuration.tokens_per_step()), (4, 3 * 4 * 32));
        assert_eq!((train.device, configuration.model.context_length), (DeviceChoice::Gpu(Some(1)), 32));
        assert_eq!((configuration.optimizer.learning_rate, configuration.evaluation.every), (0.5, Some(2)));
        assert_eq!(configuration.precision.mode, Mode::Mixed);
        assert!(configuration.train.gradient_checkpointing);
        assert_eq!((configuration.schedule.warmup, configuration.checkpoint.keep), (0.5, 7));
        assert_eq!((layers.init(), configuration.train.init), (Some("weights".into()), Some("weights".into())));
        assert_eq!(configuration.data.path, Some("text".into()));
    }
}
