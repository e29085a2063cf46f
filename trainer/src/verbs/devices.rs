//! `gradus devices`: its flags.

use clap::Args;

/// The flags of `devices`.
#[derive(Clone, Debug, Args)]
pub struct Arguments {
    /// Print JSON for other programs
    #[arg(long)]
    pub json: bool,
}
