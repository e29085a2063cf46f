//! Text, tokens and batches.

pub mod default_corpus;
pub mod splitting;
pub mod tokens;
pub mod walk;
