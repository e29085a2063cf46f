//! `gradus logits`: its flags.

use std::path::PathBuf;

use clap::Args;

use crate::device_choice::DeviceChoice;

/// The flags of `logits`.
#[derive(Clone, Debug, Args)]
pub struct Arguments {
    /// Folder of a run, of one of its steps, or of weights in Hugging Face layout
    #[arg(long, alias = "checkpoint", value_name = "DIR")]
    pub model: String,
    /// Token ids: JSON, a list of lists, or safetensors with `tokens` [batch, sequence] of i64 or i32
    #[arg(long, value_name = "FILE")]
    pub tokens: PathBuf,
    /// Where `logits` [batch, sequence, vocabulary] go, f32
    #[arg(long, value_name = "FILE.safetensors")]
    pub out: PathBuf,
    /// auto, cpu, gpu or gpu:N
    #[arg(long, default_value_t)]
    pub device: DeviceChoice,
}
