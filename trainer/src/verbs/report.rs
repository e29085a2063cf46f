//! `gradus report`: its flags.

use std::path::PathBuf;

use clap::Args;

/// The flags of `report`.
#[derive(Clone, Debug, Args)]
pub struct Arguments {
    /// Folders of sweeps, or others with a runs.csv or an inference.csv
    #[arg(value_name = "DIR", required = true)]
    pub folders: Vec<PathBuf>,
    /// The HTML file to write
    #[arg(long, value_name = "FILE", default_value = "report.html")]
    pub out: PathBuf,
}
