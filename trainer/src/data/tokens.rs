//! Text as byte-level tokens: a token is a byte, the vocabulary is 256.

use std::fs::File;
use std::ops::{Deref, Range};
use std::path::Path;
use std::sync::Arc;

use memmap2::Mmap;
use sha2::{Digest, Sha256};

use crate::error::{Result, TrainerError};

/// Number of different byte-level tokens.
pub const BYTE_VOCABULARY: usize = 256;

/// A read-only run of tokens, in memory or mapped from a file. Clones share the bytes.
#[derive(Clone, Debug)]
pub struct Tokens {
    bytes: Bytes,
    range: Range<usize>,
}

#[derive(Clone, Debug)]
enum Bytes {
    Owned(Arc<Vec<u8>>),
    Mapped(Arc<Mmap>),
}

impl Tokens {
    /// Tokens that stand in memory.
    pub fn owned(bytes: Vec<u8>) -> Self {
        Self { range: 0..bytes.len(), bytes: Bytes::Owned(Arc::new(bytes)) }
    }

    /// Maps a whole file.
    ///
    /// # Errors
    /// If it cannot be opened or mapped.
    pub fn map(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(TrainerError::io("open", path))?;
        if file.metadata().map_err(TrainerError::io("read", path))?.len() == 0 {
            return Ok(Self::owned(Vec::new()));
        }
        // SAFETY: the mapping is read-only and nothing here writes to the file. Another process
        // that changes the bytes changes only which tokens are read, since every byte is a valid
        // token; one that shortens the file ends this process with a signal.
        let map = unsafe { Mmap::map(&file) }.map_err(TrainerError::io("map", path))?;
        Ok(Self { range: 0..map.len(), bytes: Bytes::Mapped(Arc::new(map)) })
    }

    /// The tokens from `at` on, and those before it stay. `at` beyond the end splits at the end.
    pub fn split_off(&mut self, at: usize) -> Self {
        let middle = self.range.start + at.min(self.len());
        let tail = Self { bytes: self.bytes.clone(), range: middle..self.range.end };
        self.range.end = middle;
        tail
    }

    /// SHA-256 of the bytes, in hexadecimal digits.
    pub fn sha256(&self) -> String {
        hexadecimal(&Sha256::digest(&self[..]))
    }
}

impl Deref for Tokens {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        let bytes: &[u8] = match &self.bytes {
            Bytes::Owned(bytes) => bytes,
            Bytes::Mapped(map) => map,
        };
        &bytes[self.range.clone()]
    }
}

/// Bytes as lower-case hexadecimal digits.
pub fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mapped_and_owned_tokens_are_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::fs::write(&path, b"abc").unwrap();
        let mapped = Tokens::map(&path).unwrap();
        assert_eq!(&mapped[..], b"abc");
        assert_eq!(mapped.sha256(), Tokens::owned(b"abc".to_vec()).sha256());
        assert_eq!(mapped.sha256(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        std::fs::write(&path, b"").unwrap();
        assert!(Tokens::map(&path).unwrap().is_empty());
    }

    #[test]
    fn splitting_shares_the_bytes() {
        let mut head = Tokens::owned(b"abcdef".to_vec());
        let mut tail = head.split_off(2);
        let end = tail.split_off(3);
        assert_eq!((&head[..], &tail[..], &end[..]), (&b"ab"[..], &b"cde"[..], &b"f"[..]));
        assert!(head.split_off(9).is_empty());
    }
}
