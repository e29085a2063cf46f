//! `gradus sweep`: its flags.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

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
    /// FLOPs a second for the predicted time [default: measured in a few steps here]
    #[arg(long, value_name = "RATE", value_parser = numbers::positive, allow_hyphen_values = true)]
    pub rate: Option<f64>,
    /// auto, cpu, gpu or gpu:N; auto and gpu take every card of the best one's name, and each makes a run at a time
    #[arg(long)]
    pub device: Option<DeviceChoice>,
    /// Where runs are made: here, or as a Slurm job array with a task a run
    #[arg(long, value_name = "WHERE", default_value = "local")]
    pub launch: Launch,
    /// Options for sbatch, in one word: '--partition=gpu --gres=gpu:1 --time=2:00:00'
    #[arg(long, value_name = "OPTIONS", allow_hyphen_values = true)]
    pub slurm_options: Option<String>,
    /// Make failed runs again; what they left is removed
    #[arg(long)]
    pub retry_failed: bool,
    /// Let runs see their text more often than the plan's max_epochs
    #[arg(long)]
    pub allow_repeats: bool,
}

/// Who makes the runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Launch {
    /// This process.
    Local,
    /// The tasks of a Slurm job array.
    Slurm,
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
    /// Make one run of a sweep: what a task of a Slurm job array does
    Run {
        /// The sweep's folder
        #[arg(value_name = "DIR")]
        dir: PathBuf,
        /// The run's place in the sweep, from 1
        #[arg(value_name = "N")]
        number: usize,
        /// auto, cpu, gpu or gpu:N
        #[arg(long)]
        device: Option<DeviceChoice>,
    },
}
