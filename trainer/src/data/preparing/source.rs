//! The files that are prepared: found, unpacked, and cut into chunks of text.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::PathBuf;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::zstandard::Frames;
use crate::data::data_error;
use crate::data::prepared::Source;
use crate::data::tokens::hexadecimal;
use crate::data::user_text::is_text;
use crate::data::walk::files_under;
use crate::error::{Result, TrainerError};

/// A chunk has so many bytes, and the rest of its last line.
const CHUNK: usize = 256 << 10;
/// A line longer than this is cut.
const LONGEST_LINE: u64 = 1 << 20;
/// A line of JSON is never cut, and never longer than this.
const LONGEST_JSON: u64 = 1 << 30;

/// A file to read.
#[derive(Clone, Debug)]
pub struct Input {
    /// Its name in the index, and what decides whether it is held out.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
    /// Its length.
    pub length: u64,
    /// Whether the user named the file itself: then it must be text.
    named: bool,
}

/// What the bytes of a chunk are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// A part of one document.
    Text {
        /// Whether the document begins here.
        first: bool,
        /// Whether it ends here.
        last: bool,
    },
    /// Lines of JSON, each a document; the number of the first line, from 1.
    Lines(u64),
}

/// A piece of a file.
#[derive(Clone, Debug)]
pub struct Chunk {
    /// The file's name.
    pub name: Arc<str>,
    /// What it is.
    pub content: Content,
    /// Its bytes, unpacked.
    pub bytes: Vec<u8>,
}

/// All files of the paths that the user named, in order of the paths and then of the names.
///
/// # Errors
/// A path that is not there or cannot be read.
pub fn inputs(paths: &[PathBuf]) -> Result<Vec<Input>> {
    let mut inputs = Vec::new();
    for path in paths {
        let metadata = std::fs::metadata(path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => {
                data_error(path, "there is no such file or folder", "check the name given with --input")
            }
            _ => TrainerError::io("read", path)(error),
        })?;
        if metadata.is_dir() {
            let found = files_under(path)?.into_iter();
            inputs.extend(found.map(|file| Input {
                name: file.name,
                path: file.path,
                length: file.length,
                named: false,
            }));
        } else {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            inputs.push(Input { name, path: path.clone(), length: metadata.len(), named: true });
        }
    }
    Ok(inputs)
}

/// The name without what says that it is packed.
fn unpacked_name(name: &str) -> &str {
    name.strip_suffix(".gz").or_else(|| name.strip_suffix(".zst")).unwrap_or(name)
}

/// Reads a file chunk by chunk; `read` is told how many bytes of the file are done. Returns the file's record, or nothing
/// where it is no text and the user had not named it.
///
/// # Errors
/// A file that cannot be read or unpacked; what `each` returns.
pub fn read(input: &Input, read: &dyn Fn(u64), each: &mut dyn FnMut(Chunk) -> Result<()>) -> Result<Option<Source>> {
    let path = &input.path;
    let file = File::open(path).map_err(TrainerError::io("open", path))?;
    let mut raw = BufReader::with_capacity(1 << 20, Hashing { file, hash: Sha256::new(), bytes: 0, read });
    let plain = |error| TrainerError::io("read", path)(error);
    let packed = |error: io::Error| {
        data_error(path, &format!("it cannot be unpacked: {error}"), "it is cut off or damaged: fetch it again")
    };
    let text = if input.name.ends_with(".gz") {
        let unpacked = BufReader::with_capacity(1 << 16, flate2::bufread::MultiGzDecoder::new(&mut raw));
        chunks(input, unpacked, &packed, each)?
    } else if input.name.ends_with(".zst") {
        chunks(input, BufReader::with_capacity(1 << 16, Frames::new(&mut raw)), &packed, each)?
    } else {
        chunks(input, &mut raw, &plain, each)?
    };
    let Hashing { bytes, hash, .. } = raw.into_inner();
    Ok(text.then(|| Source { name: input.name.clone(), bytes, sha256: hexadecimal(&hash.finalize()) }))
}

/// Cuts what a reader gives into chunks. Returns whether it is text.
fn chunks(
    input: &Input,
    mut unpacked: impl BufRead,
    failed: &dyn Fn(io::Error) -> TrainerError,
    each: &mut dyn FnMut(Chunk) -> Result<()>,
) -> Result<bool> {
    let name: Arc<str> = input.name.as_str().into();
    let lines = unpacked_name(&input.name).ends_with(".jsonl");
    let (mut first, mut line) = (true, 1);
    let mut next = chunk(&mut unpacked, lines).map_err(failed)?;
    if next.is_empty() || !is_text(&next) {
        return if input.named { Err(no_text(input, next.is_empty())) } else { skip(&mut unpacked, failed) };
    }
    while !next.is_empty() {
        let bytes = std::mem::take(&mut next);
        next = chunk(&mut unpacked, lines).map_err(failed)?;
        let content = if lines { Content::Lines(line) } else { Content::Text { first, last: next.is_empty() } };
        first = false;
        if lines {
            line += bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
        }
        each(Chunk { name: name.clone(), content, bytes })?;
    }
    Ok(true)
}

fn no_text(input: &Input, empty: bool) -> TrainerError {
    let problem = if empty { "the file is empty" } else { "the file is not text" };
    data_error(&input.path, problem, "give text, .jsonl, or these packed as .gz or .zst")
}

/// Passes over the rest, so that progress counts it.
fn skip(unpacked: &mut impl BufRead, failed: &dyn Fn(io::Error) -> TrainerError) -> Result<bool> {
    io::copy(unpacked, &mut io::sink()).map_err(failed)?;
    Ok(false)
}

/// About [`CHUNK`] bytes that end with a line, if the lines are not too long; lines of JSON are never cut.
fn chunk(unpacked: &mut impl BufRead, lines: bool) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(CHUNK + 4096);
    unpacked.take(CHUNK as u64).read_to_end(&mut bytes)?;
    if bytes.len() < CHUNK || bytes.ends_with(b"\n") {
        return Ok(bytes);
    }
    if lines {
        let read = unpacked.take(LONGEST_JSON).read_until(b'\n', &mut bytes)?;
        if read as u64 == LONGEST_JSON {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a line is longer than 1 GiB"));
        }
        return Ok(bytes);
    }
    unpacked.take(LONGEST_LINE).read_until(b'\n', &mut bytes)?;
    // Not within a character, whose later bytes are 10…… in UTF-8.
    while !bytes.ends_with(b"\n") && unpacked.fill_buf()?.first().is_some_and(|byte| byte & 0xc0 == 0x80) {
        unpacked.take(1).read_to_end(&mut bytes)?;
        if bytes.len() > CHUNK + LONGEST_LINE as usize + 3 {
            break;
        }
    }
    Ok(bytes)
}

/// Counts and hashes what is read of a file.
struct Hashing<'a> {
    file: File,
    hash: Sha256,
    bytes: u64,
    read: &'a dyn Fn(u64),
}

impl Read for Hashing<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(out)?;
        self.hash.update(&out[..count]);
        self.bytes += count as u64;
        (self.read)(count as u64);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::path::Path;

    fn collected(path: &Path) -> Result<(Vec<Chunk>, Option<Source>)> {
        let mut found = Vec::new();
        let input = inputs(&[path.to_owned()])?.remove(0);
        let source = read(&input, &|_| (), &mut |chunk| {
            found.push(chunk);
            Ok(())
        })?;
        Ok((found, source))
    }

    #[test]
    fn packed_files_give_what_plain_ones_give() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let text: String = (0..60_000).map(|i| format!("line {i} of the text, größer\n")).collect();
        std::fs::write(at("a.txt"), &text).unwrap();
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gz.write_all(text.as_bytes()).unwrap();
        let gz = gz.finish().unwrap();
        std::fs::write(at("a.txt.gz"), &gz).unwrap();
        let zst = ruzstd::encoding::compress_to_vec(text.as_bytes(), ruzstd::encoding::CompressionLevel::Fastest);
        std::fs::write(at("a.txt.zst"), &zst).unwrap();
        for name in ["a.txt", "a.txt.gz", "a.txt.zst"] {
            let (chunks, source) = collected(&at(name)).unwrap();
            assert!(chunks.len() > 4 && chunks.iter().all(|chunk| chunk.bytes.ends_with(b"\n")), "{name}");
            let ends = |last: bool| move |chunk: &Chunk| matches!(chunk.content, Content::Text { first, last: l } if if last { l } else { first });
            assert_eq!(
                (chunks.iter().filter(|c| ends(false)(c)).count(), chunks.iter().filter(|c| ends(true)(c)).count()),
                (1, 1)
            );
            assert_eq!(chunks.into_iter().flat_map(|chunk| chunk.bytes).collect::<Vec<_>>(), text.as_bytes(), "{name}");
            let whole = std::fs::read(at(name)).unwrap();
            let source = source.unwrap();
            assert_eq!((source.bytes, source.sha256), (whole.len() as u64, hexadecimal(&Sha256::digest(&whole))));
        }
        for (name, bytes) in [("cut.gz", &gz), ("cut.zst", &zst)] {
            std::fs::write(at(name), &bytes[..bytes.len() / 2]).unwrap();
            let error = collected(&at(name)).unwrap_err().to_string();
            assert!(error.contains(name) && error.contains("cannot be unpacked"), "{error}");
        }
    }

    #[test]
    fn long_lines_are_cut_between_characters_and_lines_of_json_never() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        std::fs::write(&path, "aü€".repeat(400_000)).unwrap();
        let (chunks, _) = collected(&path).unwrap();
        assert!(chunks.len() > 1);
        assert!(chunks.iter().all(|chunk| std::str::from_utf8(&chunk.bytes).is_ok()));
        let path = folder.path().join("a.jsonl");
        let line = format!("{{\"text\": \"{}\"}}\n", "x".repeat(500_000));
        std::fs::write(&path, line.repeat(3)).unwrap();
        let (chunks, _) = collected(&path).unwrap();
        let starts: Vec<Content> = chunks.iter().map(|chunk| chunk.content).collect();
        assert_eq!(starts, [Content::Lines(1), Content::Lines(2), Content::Lines(3)]);
    }

    #[test]
    fn what_is_no_text_is_passed_over_unless_it_was_named() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.png"), b"\x89PNG\0").unwrap();
        let input = inputs(&[folder.path().to_owned()]).unwrap().remove(0);
        assert_eq!(read(&input, &|_| (), &mut |_| panic!("no chunks")).unwrap(), None);
        assert!(collected(&folder.path().join("a.png")).unwrap_err().to_string().contains("not text"));
        assert!(inputs(&[folder.path().join("none")]).unwrap_err().hint().unwrap().contains("--input"));
    }
}
