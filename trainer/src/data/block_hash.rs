//! A hash of much data, computed on all cores.

use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::sequence::Sequence;
use super::tokens::hexadecimal;

/// Bytes of a block.
const BLOCK: usize = 4 << 20;

/// SHA-256 over the SHA-256s of the blocks of 4 MiB, in hexadecimal digits.
pub fn of_bytes(bytes: &[u8]) -> String {
    let hashes: Vec<_> = bytes.par_chunks(BLOCK).map(Sha256::digest).collect();
    hexadecimal(&Sha256::digest(hashes.concat()))
}

/// The same over the bytes of a sequence's tokens, each of its files in blocks of its own.
pub fn of_sequence(sequence: &Sequence) -> String {
    let hashes: Vec<String> = sequence.pieces(0..sequence.len()).into_iter().map(of_bytes).collect();
    match <[String; 1]>::try_from(hashes) {
        Ok([hash]) => hash,
        Err(hashes) => hexadecimal(&Sha256::digest(hashes.concat())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_and_the_length_count() {
        let bytes = vec![7; 2 * BLOCK + 3];
        let hash = of_bytes(&bytes);
        for at in [0, BLOCK - 1, BLOCK, 2 * BLOCK + 2] {
            let mut other = bytes.clone();
            other[at] ^= 1;
            assert_ne!(of_bytes(&other), hash, "{at}");
        }
        assert_ne!(of_bytes(&bytes[1..]), hash);
        // SHA-256 of nothing, and of the 32 bytes of SHA-256 of "abc".
        assert_eq!(of_bytes(b""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert_eq!(of_bytes(b"abc"), "4f8b42c22dd3729b519ba6f68d2da7cc5b2d606d05daed5ad5128cc03e6c6358");
    }
}
