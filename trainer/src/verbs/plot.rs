//! `gradus plot`: its flags.

use std::path::PathBuf;

use clap::Args;

/// The flags of `plot`.
#[derive(Clone, Debug, Args)]
pub struct Arguments {
    /// Folders of runs
    #[arg(value_name = "RUN", required = true)]
    pub runs: Vec<PathBuf>,
    /// Draw to a file, .svg or .png, instead of to the terminal
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}
