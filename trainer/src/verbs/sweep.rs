//! `gradus sweep`: its flags.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::numbers;
use crate::device_choice::DeviceChoice;
use crate::duration;

/// The flags of `sweep`.
#[derive(Clone, Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Arguments {
    /// What to do, if not to make the runs.
    #[command(subcommand)]
    pub action: Option<Action>,
    /// The plan; without one, and without --preset, the sweep in --out goes on
    #[arg(value_name = "PLAN.toml")]
    pub plan: Option<PathBuf>,
    /// A plan that ships with gradus: demo
    #[arg(long, value_name = "NAME", conflicts_with = "plan")]
    pub preset: Option<String>,
    /// Folder of the sweep: new, empty, or that of the same sweep, which goes on
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Make the plan smaller until it takes about this time on this device: 20min, 1h30m
    #[arg(long, value_name = "TIME", value_parser = duration::parse, allow_hyphen_values = true)]
    pub budget: Option<Duration>,
    /// Print the runs, with predicted memory and time, and make none
    #[arg(long)]
    pub dry_run: bool,
    /// FLOPs a second for the predicted time [default: measured in a few steps]
    #[arg(long, value_name = "RATE", requires = "dry_run", value_parser = numbers::positive, allow_hyphen_values = true)]
    pub rate: Option<f64>,
    /// auto, cpu, gpu or gpu:N
    #[arg(long)]
    pub device: Option<DeviceChoice>,
    /// Make failed runs again; what they left is removed
    #[arg(long)]
    pub retry_failed: bool,
    /// Let runs see their text more often than the plan's max_epochs
    #[arg(long)]
    pub allow_repeats: bool,
}

/// What else can be done with a sweep.
#[derive(Clone, Debug, Subcommand)]
pub enum Action {
    /// Print where a sweep is, and make its runs.csv anew
    Status {
        /// The sweep's folder
        #[arg(value_name = "DIR")]
        dir: PathBuf,
    },
}
