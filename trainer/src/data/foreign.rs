//! Token files of other programs, read as they are.
//!
//! llm.c writes a header of 256 numbers of 32 bits (a magic number, a version, the number of tokens), then tokens of 16 bits
//! for GPT-2 or 32 bits for Llama 3, in files `…_train_….bin` and `…_val_….bin`. nanoGPT writes tokens of 16 bits alone, in
//! `train.bin` and `val.bin`.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use gradus_models::tokenizer::{TOKENIZER, Tokenizer};

use super::data_error;
use super::prepared::TokenizerFile;
use super::sequence::{Sequence, Width};
use super::tokens::Tokens;
use crate::error::{Result, TrainerError};

/// Bytes of llm.c's header.
const HEADER: usize = 256 * 4;
/// llm.c's files of GPT-2: magic number, version, width of a token, number of different tokens.
const GPT_2: (u32, u32, Width, usize) = (20_240_520, 1, Width::Two, 50_257);
/// llm.c's files of Llama 3.
const LLAMA_3: (u32, u32, Width, usize) = (20_240_801, 7, Width::Four, 128_256);

/// The files of a data set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// Those to train on, in order.
    train: Vec<PathBuf>,
    /// Those held out; where there are none, the end of the others is.
    validation: Vec<PathBuf>,
}

/// A data set of another program.
#[derive(Clone, Debug)]
pub struct Foreign {
    /// The tokens to train on.
    pub train: Sequence,
    /// The tokens held out; none where the end of the others is to be.
    pub validation: Option<Sequence>,
    /// Number of different tokens.
    pub vocabulary: usize,
    /// The `tokenizer.json` beside the files, if there is one.
    pub tokenizer: Option<TokenizerFile>,
}

/// The files that a path names, if it names such: a folder with files of both parts, or one file of llm.c.
///
/// # Errors
/// If the folder cannot be read.
pub fn find(path: &Path) -> Result<Option<Files>> {
    if path.is_file() {
        let own = has_header(path)?;
        return Ok(own.then(|| Files { train: vec![path.to_owned()], validation: Vec::new() }));
    }
    if !path.is_dir() {
        return Ok(None);
    }
    let mut files = Files { train: Vec::new(), validation: Vec::new() };
    for entry in fs::read_dir(path).map_err(TrainerError::io("read", path))? {
        let entry = entry.map_err(TrainerError::io("read", path))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(stem) = name.strip_suffix(".bin") else { continue };
        let has = |word: &str| stem.split('_').any(|part| part == word);
        if has("train") {
            files.train.push(entry.path());
        } else if has("val") {
            files.validation.push(entry.path());
        }
    }
    files.train.sort();
    files.validation.sort();
    Ok((!files.train.is_empty() && !files.validation.is_empty()).then_some(files))
}

fn has_header(path: &Path) -> Result<bool> {
    let bytes = Tokens::map(path)?;
    Ok([GPT_2, LLAMA_3].iter().any(|(magic, ..)| bytes.starts_with(&magic.to_le_bytes())))
}

/// Opens the files that were found at `path`.
///
/// # Errors
/// A file that is cut off or of an unknown version, files of different kinds, a tokenizer that has fewer tokens.
pub fn open(path: &Path, files: &Files) -> Result<Foreign> {
    let (train, kind) = joined(&files.train, None)?;
    let validation = match files.validation.as_slice() {
        [] => None,
        files => Some(joined(files, Some(kind))?.0),
    };
    let largest =
        train.largest().max(validation.as_ref().and_then(Sequence::largest)).map_or(0, |token| token as usize);
    let folder = if path.is_dir() { path } else { path.parent().unwrap_or(Path::new(".")) };
    let tokenizer = folder.join(TOKENIZER);
    let (tokenizer, own) = if tokenizer.is_file() {
        let content = fs::read(&tokenizer).map_err(TrainerError::io("read", &tokenizer))?;
        let size = Tokenizer::open(&tokenizer)?.vocabulary();
        (Some(TokenizerFile { path: tokenizer, content: Arc::new(content), end: None }), Some(size))
    } else {
        (None, None)
    };
    let vocabulary = own.or(kind.vocabulary).unwrap_or(largest + 1);
    if largest >= vocabulary {
        let problem =
            format!("it has a token {largest}, and its tokenizer has {vocabulary} tokens: 0 to {}", vocabulary - 1);
        return Err(data_error(path, &problem, "the file is damaged, or the tokenizer is another's"));
    }
    Ok(Foreign { train, validation, vocabulary, tokenizer })
}

/// How tokens stand in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Kind {
    width: Width,
    header: bool,
    vocabulary: Option<usize>,
}

fn joined(files: &[PathBuf], expected: Option<Kind>) -> Result<(Sequence, Kind)> {
    let mut kind = expected;
    let mut parts = Vec::with_capacity(files.len());
    for path in files {
        let (tokens, own) = one(path)?;
        if kind.is_some_and(|kind| kind != own) {
            return Err(data_error(
                path,
                "its format is another than that of the files before",
                "put them into folders of their own",
            ));
        }
        kind = Some(own);
        parts.push(tokens);
    }
    let kind =
        kind.ok_or_else(|| TrainerError::io("read", "token files".as_ref())(std::io::ErrorKind::NotFound.into()))?;
    Ok((Sequence::joined(parts, kind.width), kind))
}

fn one(path: &Path) -> Result<(Tokens, Kind)> {
    let wrong = |problem: String| Err(data_error(path, &problem, "make the file again with the program that wrote it"));
    let mut bytes = Tokens::map(path)?;
    let number = |at: usize| {
        let field = bytes.get(4 * at..4 * at + 4).and_then(|field| <[u8; 4]>::try_from(field).ok());
        field.map(u32::from_le_bytes)
    };
    let known = [GPT_2, LLAMA_3].into_iter().find(|(magic, ..)| number(0) == Some(*magic));
    let Some((_, version, width, vocabulary)) = known else {
        if bytes.len() % 2 == 1 {
            return wrong(format!("it has {} bytes, an odd number: no tokens of 16 bits", bytes.len()));
        }
        return Ok((bytes, Kind { width: Width::Two, header: false, vocabulary: None }));
    };
    let (found, count) = (number(1), number(2).unwrap_or(0) as usize);
    if found != Some(version) {
        return wrong(format!("its header has version {}, and llm.c's has {version}", found.unwrap_or(0)));
    }
    let expected = HEADER + count * width.bytes();
    if bytes.len() != expected {
        return wrong(format!("it has {} bytes, and its header says {count} tokens: {expected} bytes", bytes.len()));
    }
    Ok((bytes.split_off(HEADER), Kind { width, header: true, vocabulary: Some(vocabulary) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headed(magic: u32, version: u32, count: u32, tokens: &[u8]) -> Vec<u8> {
        let mut header = vec![0u32; 256];
        header[..3].copy_from_slice(&[magic, version, count]);
        header.iter().flat_map(|number| number.to_le_bytes()).chain(tokens.iter().copied()).collect()
    }

    fn words(tokens: &[u16]) -> Vec<u8> {
        tokens.iter().flat_map(|token| token.to_le_bytes()).collect()
    }

    fn opened(path: &Path) -> Result<Foreign> {
        open(path, &find(path)?.unwrap())
    }

    #[test]
    fn files_of_both_programs_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        assert_eq!(find(at).unwrap(), None);
        fs::write(at.join("train.bin"), words(&[1, 2, 300])).unwrap();
        assert_eq!(find(at).unwrap(), None, "one part alone is no data set");
        fs::write(at.join("val.bin"), words(&[64])).unwrap();
        let data = opened(at).unwrap();
        assert_eq!((data.train.tokens(0..3), data.vocabulary), (vec![1, 2, 300], 301));
        assert_eq!(data.validation.unwrap().tokens(0..1), [64]);

        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        fs::write(at.join("fine_train_000002.bin"), headed(20_240_520, 1, 1, &words(&[9]))).unwrap();
        fs::write(at.join("fine_train_000001.bin"), headed(20_240_520, 1, 2, &words(&[7, 8]))).unwrap();
        fs::write(at.join("fine_val_000000.bin"), headed(20_240_520, 1, 1, &words(&[50_256]))).unwrap();
        let data = opened(at).unwrap();
        assert_eq!((data.train.tokens(0..3), data.vocabulary), (vec![7, 8, 9], 50_257));
        assert!(opened(&at.join("fine_train_000001.bin")).unwrap().validation.is_none());

        let llama = at.join("llama.bin");
        fs::write(&llama, headed(20_240_801, 7, 2, &[1, 0, 1, 0, 2, 0, 0, 0])).unwrap();
        let data = opened(&llama).unwrap();
        assert_eq!((data.train.tokens(0..2), data.vocabulary), (vec![65_537, 2], 128_256));
    }

    #[test]
    fn what_is_wrong_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        let train = at.join("x_train.bin");
        fs::write(at.join("x_val.bin"), headed(20_240_520, 1, 1, &words(&[5]))).unwrap();
        for (content, part) in [
            (headed(20_240_520, 2, 1, &words(&[5])), "version 2"),
            (headed(20_240_520, 1, 2, &words(&[5])), "its header says 2 tokens"),
            (headed(20_240_520, 1, u32::MAX, &[]), "4294967295 tokens"),
            (headed(20_240_520, 1, 1, &words(&[50_257])), "a token 50257"),
            (20_240_520u32.to_le_bytes().to_vec(), "version 0"),
            (words(&[1]), "another than that of the files before"),
            (vec![1, 2, 3], "an odd number"),
        ] {
            fs::write(&train, content).unwrap();
            let error = opened(at).unwrap_err();
            assert!(error.to_string().contains(part), "{error}");
        }
    }
}
