//! `gradus tokenizer`: its flags.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::numbers;

/// The flags of `tokenizer`.
#[derive(Clone, Debug, Args)]
pub struct Arguments {
    /// What to do
    #[command(subcommand)]
    pub verb: Verb,
}

/// What can be done with tokenizers.
#[derive(Clone, Debug, Subcommand)]
pub enum Verb {
    /// Train a byte-level BPE on text
    Train(Train),
}

/// The flags of `tokenizer train`.
#[derive(Clone, Debug, Args)]
pub struct Train {
    /// Text: a file, or a folder of text files; may be given several times
    #[arg(long, value_name = "PATH", required = true)]
    pub input: Vec<PathBuf>,
    /// Tokens, of which 256 are the bytes
    #[arg(long, value_name = "N", value_parser = numbers::size, allow_negative_numbers = true)]
    pub vocabulary: u64,
    /// Token that no text becomes, such as <|endoftext|>; the first ids; may be given several times
    #[arg(long, value_name = "TOKEN")]
    pub special: Vec<String>,
    /// File to write, tokenizer.json of Hugging Face
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
}
