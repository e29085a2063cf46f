//! `gradus generate`: its flags.

use clap::Args;

use super::numbers;
use crate::device_choice::DeviceChoice;

/// The flags of `generate`.
#[derive(Clone, Debug, Args)]
pub struct Arguments {
    /// Folder of a run, of one of its steps, or of weights in Hugging Face layout
    #[arg(long, alias = "checkpoint", value_name = "DIR")]
    pub model: String,
    /// What the text begins with
    #[arg(long, default_value = "", allow_hyphen_values = true)]
    pub prompt: String,
    /// Tokens to write
    #[arg(long, value_name = "N", default_value = "200", value_parser = numbers::size, allow_negative_numbers = true)]
    pub max_tokens: u64,
    /// 0 takes the likeliest token; larger is more varied
    #[arg(long, default_value = "0.8", value_parser = numbers::non_negative, allow_hyphen_values = true)]
    pub temperature: f64,
    /// Draw from the K likeliest tokens alone [default: from all]
    #[arg(long, value_name = "K", value_parser = numbers::size, allow_negative_numbers = true)]
    pub top_k: Option<u64>,
    /// Draw from the likeliest tokens that have this probability together
    #[arg(long, value_name = "P", default_value = "1", value_parser = numbers::share, allow_hyphen_values = true)]
    pub top_p: f64,
    /// The same seed writes the same text
    #[arg(long, value_name = "N", default_value = "0", value_parser = numbers::seed, allow_negative_numbers = true)]
    pub seed: u64,
    /// auto, cpu, gpu or gpu:N
    #[arg(long, default_value_t)]
    pub device: DeviceChoice,
}
