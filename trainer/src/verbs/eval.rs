//! `gradus eval`: its flags.

use std::path::PathBuf;

use clap::Args;

use super::numbers;
use crate::device_choice::DeviceChoice;

/// The flags of `eval`.
#[derive(Clone, Debug, Args)]
pub struct Arguments {
    /// Folder of a run, of one of its steps, or of weights in Hugging Face layout
    #[arg(long, alias = "checkpoint", value_name = "DIR")]
    pub model: String,
    /// Text: a file, or a folder of text files (of one with train.txt and validation.txt the latter)
    #[arg(long, value_name = "PATH")]
    pub data: PathBuf,
    /// Tokens of a window; each begins anew [default: the model's, at most 8192]
    #[arg(long, value_name = "N", value_parser = numbers::size, allow_negative_numbers = true)]
    pub context: Option<u64>,
    /// Print JSON instead of text
    #[arg(long)]
    pub json: bool,
    /// auto, cpu, gpu or gpu:N
    #[arg(long, default_value_t)]
    pub device: DeviceChoice,
}
