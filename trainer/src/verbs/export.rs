//! `gradus export`: its flags.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use gradus_models::folder::{DEFAULT_SHARD_BYTES, Stored};

/// The type of the weights in the files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// As they are computed with
    #[default]
    F32,
    /// Half the size
    F16,
    /// Half the size, f32's range
    Bf16,
}

impl From<Kind> for Stored {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::F32 => Self::F32,
            Kind::F16 => Self::F16,
            Kind::Bf16 => Self::Bf16,
        }
    }
}

/// The flags of `export`.
#[derive(Clone, Debug, Args)]
pub struct Arguments {
    /// Folder of a run, of one of its steps, or of weights in Hugging Face or NX-AI layout
    #[arg(long, alias = "checkpoint", value_name = "DIR")]
    pub model: String,
    /// Folder to write: config.json, model.safetensors, and the tokenizer if there is one
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Type of the weights in the files
    #[arg(long, value_enum, default_value_t)]
    pub dtype: Kind,
    /// A larger model is written in several files of at most this many bytes
    #[arg(long, value_name = "BYTES", default_value_t = DEFAULT_SHARD_BYTES, value_parser = clap::value_parser!(u64).range(1..))]
    pub shard_bytes: u64,
}
