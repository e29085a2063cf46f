//! `gradus check`: its flags.

use std::path::PathBuf;

use clap::Args;

use super::numbers;
use crate::device_choice::DeviceChoice;

/// The flags of `check`.
#[derive(Clone, Debug, Args)]
pub struct Arguments {
    /// auto, cpu, gpu or gpu:N
    #[arg(long, default_value_t)]
    pub device: DeviceChoice,
    /// Check this operation alone; with --vectors, this kind of file alone
    #[arg(long, value_name = "NAME")]
    pub operation: Option<String>,
    /// Random cases of each operation
    #[arg(long, value_name = "N", value_parser = numbers::size, allow_negative_numbers = true)]
    pub cases: Option<u64>,
    /// Seed of the cases
    #[arg(long, value_name = "N", default_value = "0", value_parser = numbers::seed, allow_negative_numbers = true)]
    pub seed: u64,
    /// Check against the reference vectors of this folder, not against the definitions
    #[arg(long, value_name = "DIR", conflicts_with_all = ["cases", "seed"])]
    pub vectors: Option<PathBuf>,
}
