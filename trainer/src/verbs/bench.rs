//! `gradus bench`: its sub-verbs and their flags.

use clap::{Args, Subcommand};

use super::numbers;
use crate::configuration::Mode;
use crate::device_choice::DeviceChoice;

/// What `bench` is asked to time.
#[derive(Clone, Debug, Args)]
pub struct Arguments {
    /// What is timed.
    #[command(subcommand)]
    pub what: What,
}

/// The sub-verbs.
#[derive(Clone, Debug, Subcommand)]
pub enum What {
    /// Time training steps of a model with fresh weights on random tokens
    Train(TrainArguments),
    /// Time the important operations at fixed sizes
    Kernels(KernelsArguments),
    /// Time the versions of each kernel, from naive to fast, side by side
    Ladder(LadderArguments),
}

/// The flags of `bench train`, and those that `profile` shares with it.
#[derive(Clone, Debug, Default, Args)]
pub struct TrainArguments {
    /// A preset or a TOML file [default: xlstm-small on a GPU, xlstm-tiny on the CPU]
    #[arg(long, value_name = "PRESET|FILE")]
    pub model: Option<String>,
    /// auto, cpu, gpu or gpu:N
    #[arg(long, default_value_t)]
    pub device: DeviceChoice,
    /// Sequences of one step [default: the model's]
    #[arg(long, value_name = "N", value_parser = numbers::size, allow_negative_numbers = true)]
    pub batch: Option<u64>,
    /// Tokens of one sequence [default: the model's]
    #[arg(long, value_name = "N", value_parser = numbers::size, allow_negative_numbers = true)]
    pub context: Option<u64>,
    /// Steps that are timed [default: 35, of profile 5]
    #[arg(long, value_name = "N", value_parser = numbers::size, allow_negative_numbers = true)]
    pub steps: Option<u64>,
    /// Number of different tokens [default: 8192 for a preset, else the file's]
    #[arg(long, value_name = "N", value_parser = numbers::size, allow_negative_numbers = true)]
    pub vocabulary: Option<u64>,
    /// Which numbers the model is trained with [default: f32]
    #[arg(long, value_name = "TYPE")]
    pub precision: Option<Mode>,
    /// Compute each block again on the way back instead of keeping what it made
    #[arg(long)]
    pub gradient_checkpointing: bool,
    /// Print JSON for other programs
    #[arg(long)]
    pub json: bool,
}

/// The flags of `bench kernels`.
#[derive(Clone, Debug, Default, Args)]
pub struct KernelsArguments {
    /// auto, cpu, gpu or gpu:N
    #[arg(long, default_value_t)]
    pub device: DeviceChoice,
    /// Time only the rows whose names contain this
    #[arg(long, value_name = "NAME")]
    pub only: Option<String>,
    /// Print JSON for other programs
    #[arg(long)]
    pub json: bool,
}

/// The flags of `bench ladder`.
#[derive(Clone, Debug, Default, Args)]
pub struct LadderArguments {
    /// auto, gpu or gpu:N
    #[arg(long, default_value_t)]
    pub device: DeviceChoice,
    /// Print JSON for other programs
    #[arg(long)]
    pub json: bool,
}
