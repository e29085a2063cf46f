//! Text, tokens and batches.
//!
//! [`Corpus`] is text to train on and text held out: from [`default_corpus`], [`user_text`], a folder of tokens that was
//! [`prepared`], or the token files of other programs ([`foreign`]). [`preparing`] makes such a folder. [`sequence`] reads
//! tokens of any width, [`windows`] says which tokens make a batch, [`documents`] where documents begin; [`tasks`] are made as
//! they are needed; [`loader`] makes batches ahead of their use.

pub mod batches;
pub mod block_hash;
pub mod default_corpus;
pub mod documents;
pub mod foreign;
pub mod loader;
pub mod prepared;
pub mod preparing;
pub mod sequence;
pub mod splitting;
pub mod tasks;
pub mod tokens;
pub mod user_text;
pub mod walk;
pub mod windows;

use std::fmt::Display;
use std::path::Path;

use crate::configuration::{self, DEFAULT_VALIDATION_FRACTION};
use crate::error::{Result, TrainerError};
use batches::Batches;
use documents::Documents;
use gradus_models::tokenizer::{TOKENIZER, Tokenizer};
use prepared::{Index, TokenizerFile};
use sequence::Sequence;
use tasks::{Rows, Task};
use tokens::BYTE_VOCABULARY;
use windows::Windows;

pub use loader::Loader;
pub use windows::Batch;

/// Text to train on and text that is held out, or a task in the place of both.
#[derive(Clone, Debug)]
pub struct Corpus {
    /// Text to train on.
    pub train: Sequence,
    /// Text that is held out.
    pub validation: Sequence,
    /// The task, beside which there is no text.
    pub task: Option<Task>,
    /// Where the documents of both begin, if nothing may be seen beyond a border.
    pub documents: Option<[Documents; 2]>,
    /// Where it is from, for the first screen.
    pub name: String,
    /// What the user should know about it.
    pub notes: Vec<String>,
    /// Number of different tokens.
    pub vocabulary: usize,
    /// What made the tokens of the text; none where they are bytes, or where it is not known.
    pub tokenizer: Option<TokenizerFile>,
    /// Bytes of text that a token stands for, in the text to train on and in that held out; NaN where it is not known.
    pub bytes_per_token: [f64; 2],
    /// A hash that stands for the whole data.
    pub identity: String,
}

/// Number of different tokens of what the section `[data]` names, looked at as little as possible.
///
/// # Errors
/// As [`Corpus::open`].
pub fn vocabulary(path: Option<&Path>, task: Option<Task>) -> Result<usize> {
    if let Some(task) = task {
        return Ok(task.vocabulary());
    }
    let Some(path) = path else { return Ok(BYTE_VOCABULARY) };
    if Index::is_at(path) {
        return Ok(Index::read(path)?.tokenizer.vocabulary);
    }
    match foreign::find(path)? {
        Some(files) => Ok(foreign::open(path, &files)?.vocabulary),
        None => Ok(BYTE_VOCABULARY),
    }
}

impl Corpus {
    /// Opens what the section `[data]` names, for windows of `context` tokens.
    ///
    /// # Errors
    /// If it is missing, empty or no text; has no borders of documents where they are asked for; or if it is the default text
    /// and neither the cache nor cargo has it.
    pub fn open(data: &configuration::Data, context: usize) -> Result<Self> {
        if let Some(task) = data.task {
            refuse_fraction(data, &format_args!("the task {task}"))?;
            return Self::of_task(task, data);
        }
        let mut corpus = Self::open_with_documents(data, context)?;
        if !data.document_reset {
            corpus.documents = None;
        } else if corpus.documents.is_none() {
            return Err(TrainerError::Configuration {
                place: "[data]".into(),
                message: format!("`document_reset` needs the borders of documents, and {} has none", corpus.name),
                hint: Some("make a folder that has them: gradus data prepare --input TEXT --out DIR".into()),
            });
        }
        if let Some([train, validation]) = &corpus.documents {
            // The same tokens with other borders are other data.
            let text = format!("{}{}{}", corpus.identity, train.hash(), validation.hash());
            corpus.identity = block_hash::of_bytes(text.as_bytes());
        }
        Ok(corpus)
    }

    fn open_with_documents(data: &configuration::Data, context: usize) -> Result<Self> {
        if let Some(path) = &data.path {
            if Index::is_at(path) {
                refuse_fraction(data, &path.display())?;
                return Self::of_prepared(path);
            }
            return match foreign::find(path)? {
                Some(files) => Self::of_foreign(path, &files, data, context),
                None => user_text::open(path, data.validation_fraction, context),
            };
        }
        refuse_fraction(data, &"the default text")?;
        let corpus = default_corpus::open()?;
        let name = match &corpus.folder {
            Some(folder) => format!("Rust sources of this program's dependencies, {}", folder.display()),
            None => "Rust sources of this program's dependencies".into(),
        };
        Ok(Self::of_bytes([corpus.train, corpus.validation], name, corpus.notes))
    }

    /// Text to train on and text held out, whose tokens are bytes.
    pub fn of_bytes(texts: [tokens::Tokens; 2], name: String, notes: Vec<String>) -> Self {
        let [train, validation] = texts.map(Sequence::from);
        Self {
            identity: identity(&train, &validation),
            train,
            validation,
            task: None,
            documents: None,
            name,
            notes,
            vocabulary: BYTE_VOCABULARY,
            tokenizer: None,
            bytes_per_token: [1.0; 2],
        }
    }

    fn of_task(task: Task, data: &configuration::Data) -> Result<Self> {
        if let Some((key, hint)) = [
            (data.path.is_some(), ("path", "leave --data out, or train on the text without a task")),
            (data.document_reset, ("document_reset", "a task's rows are apart by themselves: remove the key")),
        ]
        .into_iter()
        .find_map(|(given, key)| given.then_some(key))
        {
            return Err(TrainerError::Configuration {
                place: "[data]".into(),
                message: format!("`{key}` does not go with the task \"{task}\""),
                hint: Some(hint.into()),
            });
        }
        let nothing = || Sequence::from(tokens::Tokens::owned(Vec::new()));
        Ok(Self {
            train: nothing(),
            validation: nothing(),
            task: Some(task),
            documents: None,
            name: format!("the task {task}, made as it is needed"),
            notes: vec![format!("of a task's answers {:.1} % are right by guessing", 100.0 * task.chance())],
            vocabulary: task.vocabulary(),
            tokenizer: None,
            bytes_per_token: [f64::NAN; 2],
            identity: block_hash::of_bytes(format!("task {task}").as_bytes()),
        })
    }

    fn of_prepared(path: &Path) -> Result<Self> {
        let prepared::Prepared { index, texts: [train, validation], documents, tokenizer } = prepared::open(path)?;
        let bytes_per_token = [&index.train, &index.validation].map(|part| part.text_bytes as f64 / part.tokens as f64);
        Ok(Self {
            train,
            validation,
            task: None,
            documents: Some(documents),
            name: path.display().to_string(),
            notes: Vec::new(),
            vocabulary: index.tokenizer.vocabulary,
            tokenizer,
            bytes_per_token,
            identity: index.identity(),
        })
    }

    fn of_foreign(path: &Path, files: &foreign::Files, data: &configuration::Data, context: usize) -> Result<Self> {
        let foreign::Foreign { mut train, validation, vocabulary, tokenizer } = foreign::open(path, files)?;
        let validation = match validation {
            Some(own) => {
                refuse_fraction(data, &path.display())?;
                own
            }
            None => train.split_off(user_text::kept(train.len(), data.validation_fraction, context)),
        };
        let mut notes =
            vec!["how many bytes of text a token stands for is not known: losses are in nats a token".into()];
        if tokenizer.is_none() {
            notes.push(format!("without a {TOKENIZER} beside the token files no text is written at the end"));
        }
        Ok(Self {
            identity: identity(&train, &validation),
            train,
            validation,
            task: None,
            documents: None,
            name: path.display().to_string(),
            notes,
            vocabulary,
            tokenizer,
            bytes_per_token: [f64::NAN; 2],
        })
    }

    /// What turns a model's tokens into text; none where that is not known.
    ///
    /// # Errors
    /// A `tokenizer.json` that is damaged.
    pub fn open_tokenizer(&self) -> Result<Option<Tokenizer>> {
        match &self.tokenizer {
            Some(file) => Ok(Some(Tokenizer::open(&file.path)?)),
            None if self.bytes_per_token[0] == 1.0 => Ok(Some(Tokenizer::bytes(self.vocabulary))),
            None => Ok(None),
        }
    }

    /// What is trained on: windows of the text, or rows of the task.
    ///
    /// # Errors
    /// If the context is longer than the text or too short for the task.
    pub fn batches(&self, context: usize, seed: u64) -> Result<Batches> {
        match self.task {
            Some(task) => Ok(Batches::Task(self.rows(task, context, seed)?)),
            None => Ok(Batches::Text(self.windows(context, seed)?)),
        }
    }

    fn rows(&self, task: Task, context: usize, seed: u64) -> Result<Rows> {
        Rows::new(task, context, seed).ok_or_else(|| TrainerError::Configuration {
            place: "[model]".into(),
            message: format!("a context of {context} is too short for the task \"{task}\""),
            hint: Some(format!("give a --context of at least {}", task.least_context())),
        })
    }

    fn windows(&self, context: usize, seed: u64) -> Result<Windows> {
        let windows = Windows::new(self.train.clone(), context, seed);
        let documents = self.documents.as_ref().map(|[train, _]| train.clone());
        let windows = windows.ok_or_else(|| self.too_short("training", &self.train, context))?;
        Ok(windows.within(documents))
    }

    /// The batches of every evaluation: about `count` windows, or rows that are not trained on.
    ///
    /// # Errors
    /// As [`Self::batches`], of the held-out text.
    pub fn evaluation_batches(&self, context: usize, batch: usize, count: usize) -> Result<Vec<Batch>> {
        if let Some(task) = self.task {
            // The same rows in every run, so that runs with other seeds can be compared.
            let rows = self.rows(task, context, 0)?.held_out();
            let batch = batch.min(count.max(1));
            return Ok((0..count.div_ceil(batch)).map(|at| rows.batch((at * batch) as u64, batch)).collect());
        }
        let documents = self.documents.as_ref().map(|[_, validation]| validation);
        windows::evaluation_batches((&self.validation, documents), context, batch, count)
            .ok_or_else(|| self.too_short("validation", &self.validation, context))
    }

    fn too_short(&self, part: &str, text: &Sequence, context: usize) -> TrainerError {
        let problem = format!(
            "the {part} text has {} tokens, and a context of {context} needs at least {}",
            text.len(),
            context + 1
        );
        data_error(self.name.as_ref(), &problem, "give more text, or a smaller --context")
    }
}

/// What stands for the whole data: a hash of both texts' hashes.
fn identity(train: &Sequence, validation: &Sequence) -> String {
    let [train, validation] = [train, validation].map(block_hash::of_sequence);
    block_hash::of_bytes(format!("{train}{validation}").as_bytes())
}

/// Refuses a share to hold out of data that has a held-out part of its own, where it would change nothing.
fn refuse_fraction(data: &configuration::Data, name: &dyn Display) -> Result<()> {
    let fraction = data.validation_fraction;
    if fraction == DEFAULT_VALIDATION_FRACTION {
        return Ok(());
    }
    Err(TrainerError::Configuration {
        place: "[data]".into(),
        message: format!(
            "`validation_fraction` is {fraction} and has no effect: {name} has a held-out part of its own"
        ),
        hint: Some(
            "remove the key; gradus data prepare --validation-fraction says how much of a text is held out".into(),
        ),
    })
}

fn data_error(path: &Path, problem: &str, hint: &str) -> TrainerError {
    TrainerError::Data { path: path.to_owned(), problem: problem.into(), hint: hint.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_to_hold_out_that_would_change_nothing_is_refused() {
        let data = configuration::Data { path: None, validation_fraction: 0.2, task: None, document_reset: false };
        let error = Corpus::open(&data, 1).unwrap_err();
        assert!(
            error.to_string().contains("`validation_fraction` is 0.2 and has no effect: the default text"),
            "{error}"
        );
        assert_eq!(error.exit_code(), 2);
    }

    #[test]
    fn a_context_longer_than_the_text_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        std::fs::write(&path, "x".repeat(1000)).unwrap();
        let data =
            configuration::Data { path: Some(path), validation_fraction: 0.05, document_reset: false, task: None };
        let corpus = Corpus::open(&data, 1).unwrap();
        assert_eq!(corpus.batches(949, 0).unwrap().per_epoch(), 1);
        let error = corpus.batches(950, 0).unwrap_err();
        assert!(error.to_string().contains("950 tokens, and a context of 950 needs at least 951"), "{error}");
        assert!(error.hint().unwrap().contains("--context"));
        assert_eq!(corpus.evaluation_batches(49, 8, 10).unwrap().len(), 1);
        assert!(
            corpus.evaluation_batches(50, 8, 10).unwrap_err().to_string().contains("validation text has 50 tokens")
        );
        let error = Corpus::open(&configuration::Data { document_reset: true, ..data }, 1).unwrap_err();
        assert!(error.to_string().contains("needs the borders of documents"), "{error}");
        assert!(error.hint().unwrap().contains("gradus data prepare"));
    }
}
