//! Text, tokens and batches.
//!
//! [`Corpus`] is text to train on and text held out: from [`default_corpus`] or [`user_text`].
//! [`windows`] says which tokens make a batch, [`loader`] makes batches ahead of their use.

pub mod default_corpus;
pub mod loader;
pub mod splitting;
pub mod tokens;
pub mod user_text;
pub mod walk;
pub mod windows;

use std::path::Path;

use crate::configuration;
use crate::error::{Result, TrainerError};
use tokens::Tokens;
use windows::Windows;

pub use loader::Loader;
pub use windows::Batch;

/// Text to train on and text that is held out.
#[derive(Clone, Debug)]
pub struct Corpus {
    /// Text to train on.
    pub train: Tokens,
    /// Text that is held out.
    pub validation: Tokens,
    /// Where it is from, for the first screen.
    pub name: String,
    /// What the user should know about it.
    pub notes: Vec<String>,
}

impl Corpus {
    /// Opens what the section `[data]` names, for windows of `context` tokens.
    ///
    /// # Errors
    /// If it is missing, empty or no text; or if it is the default text and neither the cache nor
    /// cargo has it.
    pub fn open(data: &configuration::Data, context: usize) -> Result<Self> {
        if let Some(path) = &data.path {
            return user_text::open(path, data.validation_fraction, context);
        }
        let corpus = default_corpus::open()?;
        let name = match &corpus.folder {
            Some(folder) => format!("Rust sources of this program's dependencies, {}", folder.display()),
            None => "Rust sources of this program's dependencies".into(),
        };
        Ok(Self { train: corpus.train, validation: corpus.validation, name, notes: corpus.notes })
    }

    /// The windows of the training text.
    ///
    /// # Errors
    /// If the context is longer than the text.
    pub fn windows(&self, context: usize, seed: u64) -> Result<Windows> {
        Windows::new(self.train.clone(), context, seed).ok_or_else(|| self.too_short("training", &self.train, context))
    }

    /// The batches of every evaluation: about `count` windows.
    ///
    /// # Errors
    /// If the context is longer than the held-out text.
    pub fn evaluation_batches(&self, context: usize, batch: usize, count: usize) -> Result<Vec<Batch>> {
        windows::evaluation_batches(&self.validation, context, batch, count)
            .ok_or_else(|| self.too_short("validation", &self.validation, context))
    }

    fn too_short(&self, part: &str, text: &Tokens, context: usize) -> TrainerError {
        let problem = format!(
            "the {part} text has {} bytes, and a context of {context} needs at least {}",
            text.len(),
            context + 1
        );
        data_error(self.name.as_ref(), &problem, "give more text, or a smaller --context")
    }
}

fn data_error(path: &Path, problem: &str, hint: &str) -> TrainerError {
    TrainerError::Data { path: path.to_owned(), problem: problem.into(), hint: hint.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_longer_than_the_text_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        std::fs::write(&path, "x".repeat(1000)).unwrap();
        let data = configuration::Data { path: Some(path), validation_fraction: 0.05 };
        let corpus = Corpus::open(&data, 1).unwrap();
        assert_eq!(corpus.windows(949, 0).unwrap().per_epoch(), 1);
        let error = corpus.windows(950, 0).unwrap_err();
        assert!(error.to_string().contains("950 bytes, and a context of 950 needs at least 951"), "{error}");
        assert!(error.hint().unwrap().contains("--context"));
        assert_eq!(corpus.evaluation_batches(49, 8, 10).unwrap().len(), 1);
        assert!(corpus.evaluation_batches(50, 8, 10).unwrap_err().to_string().contains("validation text has 50 bytes"));
    }
}
