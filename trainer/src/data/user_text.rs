//! The user's own text: a file, or every text file of a folder.

use std::fs;
use std::path::Path;

use rayon::prelude::*;

use super::default_corpus::{TRAIN_FILE, VALIDATION_FILE};
use super::splitting::is_validation;
use super::tokens::Tokens;
use super::walk::{Found, files_under};
use super::{Corpus, data_error};
use crate::error::{Result, TrainerError};

/// From this number of text files on, a folder is split by file.
const FILES_TO_SPLIT: usize = 20;
/// The most that a folder of many files may hold: it is read into memory. A file is mapped.
const LARGEST_FOLDER: u64 = 4 << 30;
/// Bytes looked at, in each of three places, to tell text from other data.
const SAMPLE: usize = 64 << 10;

/// Opens a file or folder; about `validation_fraction` of it is held out.
///
/// A file's end is held out. So is the end of a folder of fewer than 20 text files, joined in
/// order of their names; of more, whole files are. A folder that has `train.txt` and
/// `validation.txt` is those two texts. A held-out end has at least `context` + 1 bytes, but from a
/// fraction of up to one half not more than half of the text.
///
/// # Errors
/// If the path is missing, empty, or no text.
pub fn open(path: &Path, validation_fraction: f64, context: usize) -> Result<Corpus> {
    if !is_folder(path)? {
        let text = one_file(path)?;
        return Ok(hold_out_end(path, text, validation_fraction, context, Vec::new()));
    }
    let (train, validation) = (path.join(TRAIN_FILE), path.join(VALIDATION_FILE));
    if train.is_file() && validation.is_file() {
        let note = format!("{TRAIN_FILE} and {VALIDATION_FILE} of the folder are the two texts");
        let (train, validation) = (one_file(&train)?, one_file(&validation)?);
        return Ok(Corpus::of_bytes([train, validation], path.display().to_string(), vec![note]));
    }
    folder(path, validation_fraction, context)
}

/// Opens a file or folder as one text, of which nothing is held out. Of a folder with `train.txt` and `validation.txt` it is
/// the latter.
///
/// # Errors
/// As [`open`].
pub fn whole(path: &Path) -> Result<Tokens> {
    if !is_folder(path)? {
        return one_file(path);
    }
    let validation = path.join(VALIDATION_FILE);
    if path.join(TRAIN_FILE).is_file() && validation.is_file() {
        return one_file(&validation);
    }
    let files = files_under(path)?;
    Ok(Tokens::owned(joined(texts_of(path, &files)?.iter())))
}

fn is_folder(path: &Path) -> Result<bool> {
    let kind = fs::metadata(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => {
            data_error(path, "there is no such file or folder", "check the name given with --data")
        }
        _ => TrainerError::io("read", path)(error),
    })?;
    Ok(kind.is_dir())
}

fn one_file(path: &Path) -> Result<Tokens> {
    let tokens = Tokens::map(path)?;
    if tokens.is_empty() {
        return Err(data_error(path, "the file is empty", "name a file with text"));
    }
    if !is_text(&tokens) {
        return Err(data_error(
            path,
            "the file is not text",
            "give plain text; unpack archives and convert documents first",
        ));
    }
    Ok(tokens)
}

/// The files of a folder that are text.
fn texts_of<'a>(path: &Path, files: &'a [Found]) -> Result<Vec<(&'a Found, Vec<u8>)>> {
    let total: u64 = files.iter().map(|file| file.length).sum();
    if total > LARGEST_FOLDER {
        let problem = format!(
            "the folder holds {:.1} GiB; the limit is {} GiB",
            total as f64 / 1073741824.0,
            LARGEST_FOLDER >> 30
        );
        return Err(data_error(
            path,
            &problem,
            "join its files into one, which is mapped and may be larger than memory",
        ));
    }
    let read = |file: &Found| fs::read(&file.path).map_err(TrainerError::io("read", &file.path));
    let texts: Vec<(&Found, Vec<u8>)> = files
        .par_iter()
        .map(|file| Ok((file, read(file)?)))
        .filter(|read: &Result<(&Found, Vec<u8>)>| {
            read.as_ref().map_or(true, |(_, text)| !text.is_empty() && is_text(text))
        })
        .collect::<Result<_>>()?;
    if texts.is_empty() {
        let problem = format!("none of its {} files is text", files.len());
        return Err(data_error(path, &problem, "name a folder that has text files, or one text file"));
    }
    Ok(texts)
}

fn folder(path: &Path, validation_fraction: f64, context: usize) -> Result<Corpus> {
    let files = files_under(path)?;
    let texts = texts_of(path, &files)?;
    let mut notes = Vec::new();
    if texts.len() < files.len() {
        notes.push(format!("{} of {} files are text; the others are left out", texts.len(), files.len()));
    }
    let length: usize = texts.iter().map(|(_, text)| text.len()).sum();
    let held_out: usize = texts
        .iter()
        .filter(|(file, _)| is_validation(&file.name, validation_fraction))
        .map(|(_, text)| text.len())
        .sum();
    let wanted = validation_fraction * length as f64;
    // A few large files may make the split by file far too small or too large.
    let by_file = texts.len() >= FILES_TO_SPLIT && (0.25 * wanted..=4.0 * wanted).contains(&(held_out as f64));
    if !by_file {
        return Ok(hold_out_end(path, Tokens::owned(joined(texts.iter())), validation_fraction, context, notes));
    }
    let (held_out, kept): (Vec<_>, Vec<_>) =
        texts.iter().partition(|(file, _)| is_validation(&file.name, validation_fraction));
    let texts = [joined(kept.into_iter()), joined(held_out.into_iter())].map(Tokens::owned);
    Ok(Corpus::of_bytes(texts, path.display().to_string(), notes))
}

fn joined<'a>(texts: impl Iterator<Item = &'a (&'a Found, Vec<u8>)>) -> Vec<u8> {
    let mut joined = Vec::new();
    for (_, text) in texts {
        joined.extend_from_slice(text);
        if !text.ends_with(b"\n") {
            joined.push(b'\n');
        }
    }
    joined
}

fn hold_out_end(path: &Path, mut text: Tokens, validation_fraction: f64, context: usize, notes: Vec<String>) -> Corpus {
    let validation = text.split_off(kept(text.len(), validation_fraction, context));
    Corpus::of_bytes([text, validation], path.display().to_string(), notes)
}

/// Of so many tokens, those before the held-out end.
pub(super) fn kept(length: usize, validation_fraction: f64, context: usize) -> usize {
    let share = (length as f64 * validation_fraction).ceil() as usize;
    let held_out = share.max((context + 1).min(length / 2));
    length - held_out.min(length)
}

/// Whether bytes are text as far as their beginning, middle and end show: no zero byte, and at
/// most one in 20 a control character that text does not have.
pub fn is_text(bytes: &[u8]) -> bool {
    let middle = (bytes.len() / 2).saturating_sub(SAMPLE / 2);
    let end = bytes.len().saturating_sub(SAMPLE);
    [0, middle, end].into_iter().all(|start| {
        let sample = &bytes[start..bytes.len().min(start + SAMPLE)];
        let strange =
            sample.iter().filter(|byte| byte.is_ascii_control() && !b"\t\n\r\x0b\x0c\x1b\x08".contains(byte)).count();
        !sample.contains(&0) && strange * 20 <= sample.len()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::sequence::Sequence;

    fn bytes(text: &Sequence) -> Vec<u8> {
        text.tokens(0..text.len()).into_iter().map(|token| token as u8).collect()
    }

    fn problem(path: &Path) -> String {
        let error = open(path, 0.05, 1).unwrap_err();
        assert!(error.hint().is_some());
        error.to_string()
    }

    #[test]
    fn the_end_of_a_file_is_held_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        let text: Vec<u8> = (0..1000).map(|i| b'a' + (i % 26) as u8).collect();
        fs::write(&path, &text).unwrap();
        let corpus = open(&path, 0.05, 1).unwrap();
        assert_eq!((bytes(&corpus.train), bytes(&corpus.validation)), (text[..950].to_vec(), text[950..].to_vec()));
        // At least one window, unless that would be more than half.
        assert_eq!(open(&path, 0.05, 200).unwrap().validation.len(), 201);
        assert_eq!(open(&path, 0.05, 600).unwrap().validation.len(), 500);
    }

    #[test]
    fn missing_empty_and_binary_data_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        assert!(problem(&at("nothing")).contains("no such file or folder"));
        fs::write(at("empty"), "").unwrap();
        assert!(problem(&at("empty")).contains("empty"));
        let mut late_zero = vec![b'a'; 200_000];
        late_zero[199_999] = 0;
        for bytes in [&b"\x7fELF\0\0"[..], &late_zero, &[1, 2, 3, 4]] {
            fs::write(at("binary"), bytes).unwrap();
            assert!(problem(&at("binary")).contains("not text"));
        }
        fs::create_dir(at("none")).unwrap();
        fs::write(at("none/x.bin"), b"\0\0").unwrap();
        assert!(problem(&at("none")).contains("none of its 1 files is text"));
    }

    #[test]
    fn other_alphabets_are_text() {
        assert!(is_text("Übergrößenträger, 日本語のテキスト, текст".as_bytes()));
        assert!(is_text(b"caf\xe9 in Latin-1"));
        assert!(is_text(b"\x1b[1mcolour\x1b[0m\r\n"));
    }

    #[test]
    fn a_folder_of_few_files_is_joined_and_its_end_held_out() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("sub")).unwrap();
        fs::write(folder.path().join("sub/b.txt"), "second").unwrap();
        fs::write(folder.path().join("a.txt"), "first\n").unwrap();
        fs::write(folder.path().join("c.png"), b"\x89PNG\0").unwrap();
        fs::write(folder.path().join("d.txt"), "").unwrap();
        let corpus = open(folder.path(), 0.1, 1).unwrap();
        assert_eq!((&bytes(&corpus.train)[..], &bytes(&corpus.validation)[..]), (&b"first\nsecon"[..], &b"d\n"[..]));
        assert_eq!(corpus.notes, ["2 of 4 files are text; the others are left out"]);
    }

    #[test]
    fn a_folder_of_many_files_is_split_by_file() {
        let folder = tempfile::tempdir().unwrap();
        for i in 0..200 {
            fs::write(folder.path().join(format!("{i}.txt")), format!("<{i}>\n")).unwrap();
        }
        let corpus = open(folder.path(), 0.1, 1).unwrap();
        let (train, validation) = (bytes(&corpus.train), bytes(&corpus.validation));
        let (train, validation) = (String::from_utf8_lossy(&train), String::from_utf8_lossy(&validation));
        assert_eq!(train.lines().count() + validation.lines().count(), 200);
        for i in 0..200 {
            let held_out = validation.contains(&format!("<{i}>"));
            assert_eq!(held_out, is_validation(&format!("{i}.txt"), 0.1));
            assert_ne!(held_out, train.contains(&format!("<{i}>")));
        }
        // One file that outweighs the rest would make a split by file useless.
        fs::write(folder.path().join("0.txt"), vec![b'x'; 1_000_000]).unwrap();
        let corpus = open(folder.path(), 0.1, 1).unwrap();
        let share = corpus.validation.len() as f64 / corpus.train.len() as f64;
        assert!((0.1..0.12).contains(&share), "{share}");
    }

    #[test]
    fn a_folder_with_both_texts_is_those() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(TRAIN_FILE), "train").unwrap();
        fs::write(folder.path().join(VALIDATION_FILE), "held out").unwrap();
        fs::write(folder.path().join("crates.txt"), "list").unwrap();
        let corpus = open(folder.path(), 0.5, 1).unwrap();
        assert_eq!((&bytes(&corpus.train)[..], &bytes(&corpus.validation)[..]), (&b"train"[..], &b"held out"[..]));
        assert_eq!(&whole(folder.path()).unwrap()[..], b"held out");
        fs::remove_file(folder.path().join(TRAIN_FILE)).unwrap();
        assert_eq!(&whole(folder.path()).unwrap()[..], b"list\nheld out\n");
        assert_eq!(&whole(&folder.path().join("crates.txt")).unwrap()[..], b"list");
        assert!(whole(&folder.path().join("none")).unwrap_err().to_string().contains("no such file"));
    }
}
