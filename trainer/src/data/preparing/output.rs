//! The files of a prepared folder as they are written.

use std::fs::{self, File};
use std::io::{BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::encoding::Encoded;
use crate::data::block_hash;
use crate::data::prepared::{Part, documents_file, tokens_file};
use crate::data::sequence::Width;
use crate::data::tokens::Tokens;
use crate::error::{Result, TrainerError};

/// One part of the data, growing.
pub struct Output {
    tokens: (PathBuf, BufWriter<File>),
    documents: (PathBuf, BufWriter<File>),
    width: Width,
    count: u64,
    text_bytes: u64,
    places: Vec<u64>,
    /// Tokens and bytes of text by the ends of the chunks.
    ends: Vec<(u64, u64)>,
}

impl Output {
    /// Makes the files of a part.
    ///
    /// # Errors
    /// The system's.
    pub fn create(folder: &Path, part: &str, width: Width) -> Result<Self> {
        let create = |name: String| {
            let path = folder.join(name);
            let file = File::options().read(true).write(true).create(true).truncate(true).open(&path);
            let file = file.map_err(TrainerError::io("create", &path))?;
            Ok::<_, TrainerError>((path, BufWriter::with_capacity(1 << 20, file)))
        };
        Ok(Self {
            tokens: create(tokens_file(part))?,
            documents: create(documents_file(part))?,
            width,
            count: 0,
            text_bytes: 0,
            places: Vec::new(),
            ends: vec![(0, 0)],
        })
    }

    /// Adds the tokens of a chunk.
    ///
    /// # Errors
    /// The system's.
    pub fn add(&mut self, encoded: &Encoded) -> Result<()> {
        let bytes = self.width.write(&encoded.tokens);
        self.tokens.1.write_all(&bytes).map_err(TrainerError::io("write", &self.tokens.0))?;
        self.places.extend(encoded.begins.iter().map(|at| self.count + *at as u64));
        self.count += encoded.tokens.len() as u64;
        self.text_bytes += encoded.text_bytes;
        self.ends.push((self.count, self.text_bytes));
        Ok(())
    }

    /// Number of tokens so far.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Moves the tokens from `at` on to the end of another part, where they are one document or more. How many bytes of text
    /// they stand for is known to the chunk; within the one that is cut it is taken as even.
    ///
    /// # Errors
    /// The system's.
    pub fn move_end(&mut self, at: u64, to: &mut Self) -> Result<()> {
        let size = self.width.bytes() as u64;
        let (path, writer) = &mut self.tokens;
        let mut moved = |writer: &mut BufWriter<File>| {
            writer.flush()?;
            let file = writer.get_mut();
            file.seek(SeekFrom::Start(at * size))?;
            let copied = std::io::copy(&mut Read::by_ref(file), &mut to.tokens.1)?;
            file.set_len(at * size)?;
            file.seek(SeekFrom::End(0))?;
            Ok(copied)
        };
        let copied = moved(writer).map_err(TrainerError::io("write", path))?;
        let after = self.ends.partition_point(|(tokens, _)| *tokens <= at).min(self.ends.len() - 1);
        let ((tokens, text), (next, next_text)) = (self.ends[after - 1], self.ends[after]);
        let share = (at - tokens) as f64 / (next - tokens).max(1) as f64;
        let kept = text + (share * (next_text - text) as f64).round() as u64;
        let first = self.places.partition_point(|place| *place < at);
        let inside = self.places.split_off(first).into_iter().map(|place| to.count + place - at);
        let mut places: Vec<u64> = inside.collect();
        if places.first() != Some(&to.count) {
            places.insert(0, to.count);
        }
        to.places.extend(places);
        to.count += copied / size;
        to.text_bytes += self.text_bytes - kept;
        to.ends.push((to.count, to.text_bytes));
        (self.count, self.text_bytes) = (at, kept);
        Ok(())
    }

    /// Writes what is left, waits for the disk, and says what the part is.
    ///
    /// # Errors
    /// The system's.
    pub fn finish(mut self) -> Result<Part> {
        let (path, writer) = &mut self.documents;
        let bytes: Vec<u8> = self.places.iter().flat_map(|place| place.to_le_bytes()).collect();
        writer.write_all(&bytes).map_err(TrainerError::io("write", path))?;
        for (path, writer) in [&mut self.tokens, &mut self.documents] {
            writer.flush().and_then(|()| writer.get_ref().sync_all()).map_err(TrainerError::io("write", path))?;
        }
        Ok(Part {
            tokens: self.count,
            text_bytes: self.text_bytes,
            documents: self.places.len() as u64,
            tokens_hash: block_hash::of_bytes(&Tokens::map(&self.tokens.0)?),
            documents_hash: block_hash::of_bytes(&bytes),
        })
    }
}

/// Writes a small file and waits for the disk.
///
/// # Errors
/// The system's.
pub fn write(path: &Path, content: &[u8]) -> Result<()> {
    fs::write(path, content).and_then(|()| File::open(path)?.sync_all()).map_err(TrainerError::io("write", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_moves_with_its_documents_and_bytes() {
        let folder = tempfile::tempdir().unwrap();
        for width in [Width::Two, Width::Four] {
            let mut train = Output::create(folder.path(), "train", width).unwrap();
            let mut validation = Output::create(folder.path(), "validation", width).unwrap();
            for (begins, text_bytes) in [(vec![0, 7], 30), (vec![2], 40)] {
                let tokens = (0..10).map(|i| 100 * begins.len() as u32 + i).collect();
                train.add(&Encoded { tokens, begins, text_bytes, replaced: 0 }).unwrap();
            }
            train.move_end(15, &mut validation).unwrap();
            let (train, validation) = (train.finish().unwrap(), validation.finish().unwrap());
            assert_eq!((train.tokens, train.text_bytes, train.documents), (15, 50, 3));
            assert_eq!((validation.tokens, validation.text_bytes, validation.documents), (5, 20, 1));
            let read = |name: &str| {
                let bytes = fs::read(folder.path().join(name)).unwrap();
                bytes.chunks(width.bytes()).map(|token| u32::from(token[0])).collect::<Vec<_>>()
            };
            assert_eq!(read("train.bin"), (200..210).chain(100..105).map(|i| i % 256).collect::<Vec<u32>>());
            assert_eq!(read("validation.bin"), (105..110).collect::<Vec<u32>>());
        }
    }
}
