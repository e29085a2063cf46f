//! The flags of `gradus profile`.

use std::path::PathBuf;

use clap::Args;

use super::bench::TrainArguments;

/// What `profile` is asked for.
#[derive(Clone, Debug, Default, Args)]
pub struct Arguments {
    /// What is trained.
    #[command(flatten)]
    pub training: TrainArguments,
    /// Write every dispatch as a trace that chrome://tracing and ui.perfetto.dev open
    #[arg(long, value_name = "FILE.json")]
    pub trace: Option<PathBuf>,
}
