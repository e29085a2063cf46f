//! `gradus data`: its flags.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::numbers;

/// The flags of `data`.
#[derive(Clone, Debug, Args)]
pub struct Arguments {
    /// What to do
    #[command(subcommand)]
    pub verb: Verb,
}

/// What can be done with data.
#[derive(Clone, Debug, Subcommand)]
pub enum Verb {
    /// Turn text into a folder of tokens to train on
    Prepare(Prepare),
}

/// The flags of `data prepare`.
#[derive(Clone, Debug, Args)]
pub struct Prepare {
    /// Text: a file, .jsonl, or these packed as .gz or .zst, or a folder of them; may be given several times
    #[arg(long, value_name = "PATH", required = true)]
    pub input: Vec<PathBuf>,
    /// `bytes`, a tokenizer.json, or a folder that has one
    #[arg(long, value_name = "bytes|FILE|DIR", default_value = "bytes")]
    pub tokenizer: PathBuf,
    /// Folder to make
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Share of the text held out: of the documents, or of fewer than 20 the end
    #[arg(long, value_name = "SHARE", default_value_t = 0.05, value_parser = numbers::below_one, allow_negative_numbers = true)]
    pub validation_fraction: f64,
    /// The field of a line of .jsonl that holds the text
    #[arg(long, value_name = "NAME", default_value = "text")]
    pub field: String,
    /// The token behind every document [default: <|endoftext|>, if the tokenizer has it]
    #[arg(long, value_name = "TOKEN")]
    pub end_token: Option<String>,
}
