//! `gradus time`: its flags.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::numbers;
use crate::device_choice::DeviceChoice;

/// What weights are stored as, for inference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Precision {
    /// 32-bit floats.
    F32,
    /// 16-bit floats, as the key-value cache; states and sums stay f32.
    F16,
}

impl Precision {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
        }
    }
}

/// The flags of `time`.
#[derive(Clone, Debug, Args)]
pub struct Arguments {
    /// A preset or a TOML file, with random weights made on the device, or a folder with weights
    #[arg(long, alias = "checkpoint", value_name = "MODEL")]
    pub model: String,
    /// Texts at once; several numbers with commas
    #[arg(long, value_name = "B,…", default_value = "1", value_delimiter = ',', value_parser = numbers::size, allow_negative_numbers = true)]
    pub batch: Vec<u64>,
    /// Tokens of the prompts; several numbers with commas
    #[arg(long, value_name = "T,…", default_value = "2048", value_delimiter = ',', value_parser = numbers::size, allow_negative_numbers = true)]
    pub prefill: Vec<u64>,
    /// Tokens to write after each prompt, over which a step's time is averaged
    #[arg(long, value_name = "N", default_value = "100", value_parser = numbers::size, allow_negative_numbers = true)]
    pub generate: u64,
    /// What weights are stored as [default: f16 on a GPU that has it, else f32]
    #[arg(long, value_name = "TYPE")]
    pub precision: Option<Precision>,
    /// Bytes that the device has, with a unit such as 24GiB [default: what its driver says]
    #[arg(long, value_name = "SIZE", value_parser = numbers::bytes)]
    pub memory: Option<u64>,
    /// Print the plan of the memory and time nothing; no device is needed
    #[arg(long)]
    pub plan: bool,
    /// Print instead where the device's time of a step goes, kernel by kernel
    #[arg(long, conflicts_with = "plan")]
    pub split: bool,
    /// Keep the times in this table too, with those of other calls: inference.csv for gradus fit and gradus report
    #[arg(long, value_name = "FILE", conflicts_with_all = ["plan", "split"])]
    pub csv: Option<PathBuf>,
    /// Name of the model's size in that table [default: 160M for xlstm-160m, else the name of the file or folder]
    #[arg(long, value_name = "NAME", requires = "csv")]
    pub name: Option<String>,
    /// Print JSON for other programs
    #[arg(long)]
    pub json: bool,
    /// auto, cpu, gpu or gpu:N
    #[arg(long, default_value_t)]
    pub device: DeviceChoice,
}
