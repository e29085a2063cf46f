//! `gradus count`: its flags.

use clap::Args;

use super::numbers;

/// The flags of `count`.
#[derive(Clone, Debug, Args)]
pub struct Arguments {
    /// A preset, a TOML file with a [model] section, or a folder with a configuration
    #[arg(long, alias = "checkpoint", value_name = "MODEL")]
    pub model: String,
    /// Tokens of a training sequence, of a prefill, and before a step
    #[arg(long, value_name = "T", value_parser = numbers::size, allow_negative_numbers = true)]
    pub context: u64,
    /// Sequences at once
    #[arg(long, value_name = "B", default_value = "1", value_parser = numbers::size, allow_negative_numbers = true)]
    pub batch: u64,
    /// Print JSON instead of text
    #[arg(long)]
    pub json: bool,
}
