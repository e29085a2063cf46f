//! Where the documents of a text begin.

use super::block_hash;
use super::tokens::Tokens;

/// Bytes of a place in the file.
const PLACE: usize = 8;

/// The places of documents' first tokens in a text, ascending. Clones share the bytes.
#[derive(Clone, Debug)]
pub struct Documents {
    /// 8 bytes each, little-endian.
    places: Tokens,
}

impl Documents {
    /// The content of a file of places, whose bytes behind the last whole one are passed over.
    pub fn new(places: Tokens) -> Self {
        Self { places }
    }

    /// [`block_hash`] of the places.
    pub fn hash(&self) -> String {
        block_hash::of_bytes(&self.places)
    }

    fn places(&self) -> &[[u8; PLACE]] {
        self.places.as_chunks().0
    }

    /// Adds to `out`, for each of `count` tokens from `offset` on, which of them is the first of its document: 0 where that
    /// began before `offset`.
    pub fn first_of(&self, offset: usize, count: usize, out: &mut Vec<u32>) {
        let place = |bytes: &[u8; PLACE]| u64::from_le_bytes(*bytes) as usize;
        let places = self.places();
        // Where a document begins at `offset` the first is 0 all the same.
        let next = places.partition_point(|bytes| place(bytes) <= offset);
        let mut begins = places[next..].iter().map(|bytes| place(bytes) - offset).peekable();
        let mut first = 0;
        out.extend((0..count).map(|at| {
            // More than one where a document is empty.
            while begins.next_if(|begin| *begin <= at).is_some() {
                first = at as u32;
            }
            first
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_know_their_first_one() {
        let places: Vec<u8> = [0u64, 3, 3, 7, 20].iter().flat_map(|place| place.to_le_bytes()).collect();
        let documents = Documents::new(Tokens::owned(places));
        let first = |offset, count| {
            let mut out = Vec::new();
            documents.first_of(offset, count, &mut out);
            out
        };
        assert_eq!(first(0, 9), [0, 0, 0, 3, 3, 3, 3, 7, 7]);
        assert_eq!(first(2, 6), [0, 1, 1, 1, 1, 5]);
        assert_eq!(first(3, 5), [0, 0, 0, 0, 4]);
        assert_eq!(first(8, 4), [0; 4]);
        assert_eq!(first(19, 3), [0, 1, 1]);
        assert_eq!(first(25, 2), [0; 2]);
        assert_eq!(first(5, 0), [0u32; 0]);
    }
}
