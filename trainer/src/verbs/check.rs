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
    /// Elements of the largest input of each case, about [default: 1024, and 16384 in every fourth]
    #[arg(long, value_name = "N", value_parser = numbers::size, allow_negative_numbers = true)]
    pub elements: Option<u64>,
    /// Draw cases round after round until --max-time or Ctrl-C, and go on with new ones when called again
    #[arg(long, conflicts_with_all = ["cases", "elements"])]
    pub long: bool,
    /// End a long check after this time, as 90s, 5m or 8h
    #[arg(long, value_name = "TIME", requires = "long", value_parser = numbers::time)]
    pub max_time: Option<String>,
    /// Where a long check keeps what it found [default: runs/check/DEVICE.json]
    #[arg(long, value_name = "FILE", requires = "long")]
    pub state: Option<PathBuf>,
    /// Check against the reference vectors of this folder, not against the definitions
    #[arg(long, value_name = "DIR", conflicts_with_all = ["cases", "seed", "elements", "long"])]
    pub vectors: Option<PathBuf>,
}

#[cfg(test)]
impl Arguments {
    /// So many cases of one operation on the CPU.
    pub(crate) fn of_operation(operation: &str, cases: u64) -> Self {
        Self {
            device: DeviceChoice::Cpu,
            operation: Some(operation.into()),
            cases: Some(cases),
            seed: 0,
            elements: None,
            long: false,
            max_time: None,
            state: None,
            vectors: None,
        }
    }
}
