//! A folder of tokens that `gradus data prepare` made.
//!
//! `index.json` says what the others are, with their lengths and hashes: `train.bin` and `validation.bin` (tokens of 2 or 4
//! bytes, little-endian, or of 1 where they are the bytes of the text), `train.documents` and `validation.documents` (for each document the place of its first token, 8
//! bytes, little-endian), and `tokenizer.json` unless tokens are bytes.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::block_hash;
use super::data_error;
use super::documents::Documents;
use super::sequence::{Sequence, Width};
use super::tokens::{BYTE_VOCABULARY, Tokens};
use crate::error::{Result, TrainerError};
use crate::sealed_json;

/// The file that says what the others are.
pub const INDEX: &str = "index.json";
/// The version of the format; a reader refuses any other.
pub const FORMAT: u32 = 1;
/// The names of the two parts.
pub const PARTS: [&str; 2] = ["train", "validation"];
/// Bytes of the place of a document.
pub const PLACE: u64 = 8;

/// What turned text into tokens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenizerRecord {
    /// Number of different tokens.
    pub vocabulary: usize,
    /// SHA-256 of `tokenizer.json`; unset where tokens are bytes.
    pub sha256: Option<String>,
    /// The token behind every document, if there is one.
    pub end: Option<u32>,
}

/// The text to train on, or the text held out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// Number of tokens.
    pub tokens: u64,
    /// Bytes of the text that they stand for.
    pub text_bytes: u64,
    /// Number of documents.
    pub documents: u64,
    /// [`block_hash`] of the tokens.
    pub tokens_hash: String,
    /// [`block_hash`] of the documents' places.
    pub documents_hash: String,
}

/// A file that was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// Its name: as given, or its path below the folder given.
    pub name: String,
    /// Its length, compressed if it is.
    pub bytes: u64,
    /// SHA-256 of these bytes.
    pub sha256: String,
}

/// The whole of `index.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Index {
    /// [`FORMAT`].
    pub format: u32,
    /// Bytes of a token: 1, 2 or 4.
    pub token_bytes: usize,
    /// What made the tokens.
    pub tokenizer: TokenizerRecord,
    /// The text to train on.
    pub train: Part,
    /// The text held out.
    pub validation: Part,
    /// What was read, in this order.
    pub sources: Vec<Source>,
}

impl Index {
    /// Whether a path is a prepared folder.
    pub fn is_at(folder: &Path) -> bool {
        folder.join(INDEX).is_file()
    }

    /// Reads the index of a folder.
    ///
    /// # Errors
    /// If it is damaged or of another format.
    pub fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(INDEX);
        let text = fs::read_to_string(&path).map_err(TrainerError::io("read", &path))?;
        let index: Self = sealed_json::parse(&text).map_err(|problem| broken(&path, &problem))?;
        if index.format != FORMAT {
            return Err(broken(&path, &format!("has format {}, and this program reads format {FORMAT}", index.format)));
        }
        index.width(&path)?;
        Ok(index)
    }

    fn width(&self, path: &Path) -> Result<Width> {
        match self.token_bytes {
            1 if self.tokenizer.sha256.is_none() => Ok(Width::Byte),
            2 => Ok(Width::Two),
            4 => Ok(Width::Four),
            other => Err(broken(
                path,
                &format!(
                    "says that tokens have {other} bytes; there are 2 and 4, and 1 where tokens are bytes of text"
                ),
            )),
        }
    }

    /// What stands for the whole data: a hash of both texts' hashes.
    pub fn identity(&self) -> String {
        block_hash::of_bytes(format!("{}{}", self.train.tokens_hash, self.validation.tokens_hash).as_bytes())
    }
}

/// A `tokenizer.json`.
#[derive(Clone, Debug)]
pub struct TokenizerFile {
    /// Where it is.
    pub path: PathBuf,
    /// Its bytes.
    pub content: Arc<Vec<u8>>,
    /// The token behind every document, if there is one.
    pub end: Option<u32>,
}

/// A prepared folder, whose every file was compared with its hash.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// Its index.
    pub index: Index,
    /// The tokens to train on, and those held out.
    pub texts: [Sequence; 2],
    /// Where the documents of each begin.
    pub documents: [Documents; 2],
    /// What made the tokens; none where they are bytes.
    pub tokenizer: Option<TokenizerFile>,
}

/// Opens a folder.
///
/// # Errors
/// A file that is missing or is not what the index says: names it.
pub fn open(folder: &Path) -> Result<Prepared> {
    let index = Index::read(folder)?;
    let width = index.width(&folder.join(INDEX))?;
    let parts = [(&index.train, PARTS[0]), (&index.validation, PARTS[1])];
    let texts = parts.map(|(part, name)| {
        let tokens = whole(&folder.join(tokens_file(name)), part.tokens, width.bytes() as u64, &part.tokens_hash)?;
        let documents = whole(&folder.join(documents_file(name)), part.documents, PLACE, &part.documents_hash)?;
        Ok::<_, TrainerError>((Sequence::joined(vec![tokens], width), Documents::new(documents)))
    });
    let [train, validation] = texts;
    let ((train, train_documents), (validation, validation_documents)) = (train?, validation?);
    let tokenizer = match &index.tokenizer.sha256 {
        None if index.tokenizer.vocabulary != BYTE_VOCABULARY => {
            let problem = format!("says that bytes have {} different values", index.tokenizer.vocabulary);
            return Err(broken(&folder.join(INDEX), &problem));
        }
        None => None,
        Some(sha256) => Some(tokenizer_file(folder, sha256, index.tokenizer.end)?),
    };
    let documents = [train_documents, validation_documents];
    Ok(Prepared { texts: [train, validation], documents, tokenizer, index })
}

/// The name of the file of a part's tokens.
pub fn tokens_file(part: &str) -> String {
    format!("{part}.bin")
}

/// The name of the file of a part's documents.
pub fn documents_file(part: &str) -> String {
    format!("{part}.documents")
}

fn tokenizer_file(folder: &Path, sha256: &str, end: Option<u32>) -> Result<TokenizerFile> {
    let path = folder.join(gradus_models::tokenizer::TOKENIZER);
    let content = fs::read(&path).map_err(TrainerError::io("read", &path))?;
    if Tokens::owned(content.clone()).sha256() != sha256 {
        return Err(broken(&path, "is not the tokenizer that the data was prepared with"));
    }
    Ok(TokenizerFile { path, content: Arc::new(content), end })
}

/// A file of `count` numbers of `size` bytes with this hash.
fn whole(path: &Path, count: u64, size: u64, hash: &str) -> Result<Tokens> {
    let bytes = Tokens::map(path)?;
    if count.checked_mul(size) != Some(bytes.len() as u64) {
        let problem = format!("has {} bytes and should have {count} x {size}: it was cut off or changed", bytes.len());
        return Err(broken(path, &problem));
    }
    if block_hash::of_bytes(&bytes) != hash {
        return Err(broken(path, "does not match the hash it was prepared with: it was changed or damaged"));
    }
    Ok(bytes)
}

fn broken(path: &Path, problem: &str) -> TrainerError {
    data_error(path, problem, "prepare the data again with gradus data prepare, into a new folder")
}
