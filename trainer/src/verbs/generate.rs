//! `gradus generate`: its flags.

use std::path::PathBuf;

use clap::Args;

use super::numbers;
use super::time::Precision;
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
    /// File with many prompts: one a line, or JSON (.json), a list of strings
    #[arg(long, value_name = "FILE", conflicts_with = "prompt")]
    pub prompts: Option<PathBuf>,
    /// File with prompts as token ids: JSON, a list of lists, or safetensors with `tokens`
    #[arg(long, value_name = "FILE", conflicts_with_all = ["prompt", "prompts"])]
    pub tokens: Option<PathBuf>,
    /// Prompts that are continued at once
    #[arg(long, value_name = "B", default_value = "16", value_parser = numbers::size, allow_negative_numbers = true)]
    pub batch: u64,
    /// Tokens to write [default: 200, or as many as a Transformer has positions for]
    #[arg(long, value_name = "N", value_parser = numbers::size, allow_negative_numbers = true)]
    pub max_tokens: Option<u64>,
    /// 0 takes the likeliest token; larger is more varied
    #[arg(long, default_value = "0.8", value_parser = numbers::non_negative, allow_hyphen_values = true)]
    pub temperature: f64,
    /// Draw from the K likeliest tokens alone [default: from all]
    #[arg(long, value_name = "K", value_parser = numbers::size, allow_negative_numbers = true)]
    pub top_k: Option<u64>,
    /// Draw from the likeliest tokens that have this probability together
    #[arg(long, value_name = "P", default_value = "1", value_parser = numbers::share, allow_hyphen_values = true)]
    pub top_p: f64,
    /// Above 1: tokens that the text has already become less likely
    #[arg(long, value_name = "R", default_value = "1", value_parser = numbers::positive, allow_hyphen_values = true)]
    pub repetition_penalty: f64,
    /// End a text before this string; may be given several times
    #[arg(long, value_name = "STRING", allow_hyphen_values = true)]
    pub stop: Vec<String>,
    /// Go on after tokens that end a text
    #[arg(long)]
    pub ignore_end: bool,
    /// The same seed writes the same text
    #[arg(long, value_name = "N", default_value = "0", value_parser = numbers::seed, allow_negative_numbers = true)]
    pub seed: u64,
    /// What weights and key-value cache are stored as; f16 reads half the bytes, on a GPU that has it
    #[arg(long, value_name = "TYPE", default_value = "f32")]
    pub precision: Precision,
    /// Print an object a text: prompt, text, tokens, and why it ended
    #[arg(long)]
    pub json: bool,
    /// auto, cpu, gpu or gpu:N
    #[arg(long, default_value_t)]
    pub device: DeviceChoice,
}
