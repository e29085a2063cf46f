//! `gradus data prepare`: files of text to a folder of tokens, see [`super::prepared`].
//!
//! One thread reads, unpacks and hashes the files ([`source`], [`zstandard`]) and cuts them into chunks; all cores turn chunks
//! into tokens ([`encoding`]); they are written in the order of the text ([`output`]), so that the same files give the same
//! folder.

mod encoding;
mod output;
mod source;
mod zstandard;

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Instant;

use gradus_models::tokenizer::{TOKENIZER, Tokenizer};
use indicatif::{ProgressBar, ProgressStyle};
use rayon::prelude::*;

use self::encoding::Encoder;
use self::output::Output;
use self::source::{Chunk, Input};
use super::data_error;
use super::prepared::{FORMAT, INDEX, Index, PARTS, Source, TokenizerRecord};
use super::sequence::Width;
use super::tokens::{BYTE_VOCABULARY, Tokens};
use crate::error::{Result, TrainerError};
use crate::figures;
use crate::sealed_json;
use crate::verbs::data::{Arguments, Prepare, Verb};

/// The token that most tokenizers put behind a document.
const USUAL_END: &str = "<|endoftext|>";
/// With fewer documents the end of the text is held out instead of whole documents.
const DOCUMENTS_TO_SPLIT: u64 = 20;

/// Runs the verb.
///
/// # Errors
/// If the text, the tokenizer or the output cannot be used.
pub fn run(arguments: &Arguments) -> Result<()> {
    let Verb::Prepare(arguments) = &arguments.verb;
    let started = Instant::now();
    let (index, notes) = prepare(arguments)?;
    let read: u64 = index.train.text_bytes + index.validation.text_bytes;
    let seconds = started.elapsed().as_secs_f64();
    let mut lines = vec![format!(
        "{} tokens to train on, {} held out, of {} of text in {} documents ({:.2} bytes a token), {:.0} MB/s\n{}: train on it with gradus train --data {}",
        figures::count(index.train.tokens as f64),
        figures::count(index.validation.tokens as f64),
        figures::bytes(read),
        index.train.documents + index.validation.documents,
        read as f64 / (index.train.tokens + index.validation.tokens) as f64,
        read as f64 / 1e6 / seconds,
        figures::time(seconds),
        arguments.out.display()
    )];
    lines.splice(0..0, notes.into_iter().map(|note| format!("note: {note}")));
    // Nobody may be reading.
    let _ = writeln!(io::stderr(), "{}", lines.join("\n"));
    Ok(())
}

/// What the folder is to be made with.
struct Tokenizing {
    file: Option<PathBuf>,
    record: TokenizerRecord,
    width: Width,
}

/// Makes the folder: under another name at first, so that half of one is never taken for data.
fn prepare(arguments: &Prepare) -> Result<(Index, Vec<String>)> {
    let out = &arguments.out;
    if fs::read_dir(out).is_ok_and(|mut entries| entries.next().is_some()) || out.is_file() {
        return Err(TrainerError::Usage {
            message: format!("--out: {} is there already", out.display()),
            hint: Some("name a folder that does not exist yet".into()),
        });
    }
    let tokenizing = tokenizing(arguments)?;
    let inputs = source::inputs(&arguments.input)?;
    let mut partial = out.as_os_str().to_owned();
    partial.push(".partial");
    let partial = Path::new(&partial);
    if partial.exists() {
        fs::remove_dir_all(partial).map_err(TrainerError::io("remove", partial))?;
    }
    fs::create_dir_all(partial).map_err(TrainerError::io("create", partial))?;
    let made = fill(partial, &inputs, arguments, &tokenizing);
    let (index, notes) = made.inspect_err(|_| {
        // The error above is the one that counts; what is left is removed by the next call.
        let _ = fs::remove_dir_all(partial);
    })?;
    if out.is_dir() {
        // Empty, as was seen above.
        fs::remove_dir(out).map_err(TrainerError::io("replace", out))?;
    }
    fs::rename(partial, out).map_err(TrainerError::io("rename to", out))?;
    Ok((index, notes))
}

fn tokenizing(arguments: &Prepare) -> Result<Tokenizing> {
    let named = &arguments.tokenizer;
    if named.as_os_str() == "bytes" {
        if let Some(token) = &arguments.end_token {
            return Err(TrainerError::Usage {
                message: format!("--end-token: bytes have no token {token}"),
                hint: Some("name a tokenizer.json with --tokenizer, or leave --end-token out".into()),
            });
        }
        let record = TokenizerRecord { vocabulary: BYTE_VOCABULARY, sha256: None, end: None };
        return Ok(Tokenizing { file: None, record, width: Width::Byte });
    }
    let path = if named.is_dir() { named.join(TOKENIZER) } else { named.clone() };
    if !path.is_file() {
        return Err(TrainerError::Usage {
            message: format!("--tokenizer: there is no file {}", path.display()),
            hint: Some(
                "give `bytes`, a tokenizer.json, or a folder that has one; gradus tokenizer train makes one".into(),
            ),
        });
    }
    let tokenizer = Tokenizer::open(&path)?;
    let end = match &arguments.end_token {
        None => tokenizer.id_of(USUAL_END),
        Some(token) => Some(tokenizer.id_of(token).ok_or_else(|| TrainerError::Usage {
            message: format!("--end-token: {} has no token {token}", path.display()),
            hint: Some("name one of its tokens; without the flag it is <|endoftext|> where that is one".into()),
        })?),
    };
    let vocabulary = tokenizer.vocabulary();
    let record = TokenizerRecord { vocabulary, sha256: Some(Tokens::map(&path)?.sha256()), end };
    let width = if vocabulary <= 1 << 16 { Width::Two } else { Width::Four };
    Ok(Tokenizing { file: Some(path), record, width })
}

fn fill(folder: &Path, inputs: &[Input], arguments: &Prepare, tokenizing: &Tokenizing) -> Result<(Index, Vec<String>)> {
    let fraction = arguments.validation_fraction;
    let mut by_document = true;
    let mut written = write_parts(folder, inputs, arguments, tokenizing, Some(fraction))?;
    let [train, validation] = &mut written.parts;
    let wanted = fraction * (train.count() + validation.count()) as f64;
    // A few documents, or one that outweighs the others, may make the split by document far too small or too large.
    let documents = written.documents;
    if documents < DOCUMENTS_TO_SPLIT || !(0.25 * wanted..=4.0 * wanted).contains(&(validation.count() as f64)) {
        by_document = false;
        if validation.count() > 0 {
            written = write_parts(folder, inputs, arguments, tokenizing, None)?;
        }
        let [train, validation] = &mut written.parts;
        let held_out = (fraction * train.count() as f64).ceil() as u64;
        train.move_end(train.count() - held_out, validation)?;
    }
    let Written { parts: [train, validation], sources, passed_over, replaced, .. } = written;
    if train.count() + validation.count() == 0 {
        let place = arguments.input.first().map_or(Path::new("--input"), PathBuf::as_path);
        return Err(data_error(place, "there is no text in it", "name text files, folders of text, or .jsonl"));
    }
    let mut notes = Vec::new();
    if !by_document {
        notes.push("there are too few documents to hold some out: the end of the text is held out".into());
    }
    if passed_over > 0 {
        notes.push(format!("{passed_over} of {} files are no text and were left out", inputs.len()));
    }
    if replaced > 0 {
        notes.push(format!("{replaced} bytes are no UTF-8 and became U+FFFD; --tokenizer bytes keeps them"));
    }
    if let Some(file) = &tokenizing.file {
        output::write(&folder.join(TOKENIZER), &fs::read(file).map_err(TrainerError::io("read", file))?)?;
    }
    let index = Index {
        format: FORMAT,
        token_bytes: tokenizing.width.bytes(),
        tokenizer: tokenizing.record.clone(),
        train: train.finish()?,
        validation: validation.finish()?,
        sources,
    };
    let path = folder.join(INDEX);
    let text = sealed_json::text(&index).map_err(io::Error::other).map_err(TrainerError::io("write", &path))?;
    output::write(&path, text.as_bytes())?;
    Ok((index, notes))
}

/// What one passage over the files wrote.
struct Written {
    parts: [Output; 2],
    sources: Vec<Source>,
    documents: u64,
    passed_over: usize,
    replaced: u64,
}

fn write_parts(
    folder: &Path,
    inputs: &[Input],
    arguments: &Prepare,
    tokenizing: &Tokenizing,
    held_out: Option<f64>,
) -> Result<Written> {
    let tokenizer = match &tokenizing.file {
        Some(file) => Tokenizer::open(file)?,
        None => Tokenizer::bytes(BYTE_VOCABULARY),
    };
    let encoder = Encoder::new(tokenizer, tokenizing.record.end, arguments.field.clone(), held_out)?;
    let [train, validation] = PARTS.map(|part| Output::create(folder, part, tokenizing.width));
    let mut parts = [train?, validation?];
    let (mut documents, mut replaced) = (0, 0);
    let bar = progress(inputs.iter().map(|input| input.length).sum());
    let at_once = 4 * rayon::current_num_threads();
    let (sender, chunks) = sync_channel(at_once);
    let read = std::thread::scope(|scope| {
        let reader = scope.spawn(|| read_all(inputs, &bar, sender));
        let mut written = || -> Result<()> {
            // So many chunks are encoded at once; the reader goes on meanwhile.
            loop {
                let some: Vec<Chunk> = chunks.iter().take(at_once).collect();
                if some.is_empty() {
                    return Ok(());
                }
                let encoded: Result<Vec<_>> = some.par_iter().map(|chunk| encoder.encode(chunk)).collect();
                for both in encoded? {
                    for (part, encoded) in parts.iter_mut().zip(&both) {
                        documents += encoded.begins.len() as u64;
                        replaced += encoded.replaced;
                        part.add(encoded)?;
                    }
                }
            }
        };
        let written = written();
        // Without a receiver the reader ends.
        drop(chunks);
        let read = reader.join().unwrap_or_else(|_| {
            Err(TrainerError::io("read", "the input".as_ref())(io::Error::other("the thread that reads has stopped")))
        });
        written.and(read)
    });
    bar.finish_and_clear();
    let sources = read?;
    Ok(Written { parts, documents, passed_over: inputs.len() - sources.len(), replaced, sources })
}

fn read_all(inputs: &[Input], bar: &ProgressBar, sender: SyncSender<Chunk>) -> Result<Vec<Source>> {
    let mut sources = Vec::with_capacity(inputs.len());
    let gone = |_| TrainerError::io("read", "the input".as_ref())(io::ErrorKind::Interrupted.into());
    for input in inputs {
        sources.extend(source::read(input, &|bytes| bar.inc(bytes), &mut |chunk| sender.send(chunk).map_err(gone))?);
    }
    Ok(sources)
}

/// A bar over the bytes of the files, if standard error is a terminal.
fn progress(bytes: u64) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(bytes);
    let template = "{wide_bar} {percent:>3}%  {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}
