//! Tokens of one text as numbers of 1, 2 or 4 bytes, in one file or in several joined.

use std::ops::Range;

use rayon::prelude::*;

use super::tokens::Tokens;

/// How many bytes a token takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// A token is a byte of text.
    Byte,
    /// 16 bits, little-endian.
    Two,
    /// 32 bits, little-endian.
    Four,
}

impl Width {
    /// Bytes of a token.
    pub fn bytes(self) -> usize {
        match self {
            Self::Byte => 1,
            Self::Two => 2,
            Self::Four => 4,
        }
    }

    /// The bytes of tokens, which must fit.
    pub fn write(self, tokens: &[u32]) -> Vec<u8> {
        /// Writes in place, which compiles to vectors.
        fn written<const N: usize>(tokens: &[u32], bytes_of: impl Fn(u32) -> [u8; N]) -> Vec<u8> {
            let mut bytes = vec![0; N * tokens.len()];
            for (bytes, token) in bytes.as_chunks_mut().0.iter_mut().zip(tokens) {
                *bytes = bytes_of(*token);
            }
            bytes
        }
        match self {
            Self::Byte => written(tokens, |token| [token as u8]),
            Self::Two => written(tokens, |token| (token as u16).to_le_bytes()),
            Self::Four => written(tokens, u32::to_le_bytes),
        }
    }

    /// Adds the tokens of some bytes to `out`.
    fn read(self, bytes: &[u8], out: &mut Vec<u32>) {
        match self {
            Self::Byte => out.extend(bytes.iter().map(|byte| u32::from(*byte))),
            Self::Two => out.extend(bytes.as_chunks().0.iter().map(|bytes| u32::from(u16::from_le_bytes(*bytes)))),
            Self::Four => out.extend(bytes.as_chunks().0.iter().map(|bytes| u32::from_le_bytes(*bytes))),
        }
    }
}

/// A read-only run of tokens. Clones share the bytes.
#[derive(Clone, Debug)]
pub struct Sequence {
    parts: Vec<Tokens>,
    width: Width,
    /// The part of the joined parts that this is.
    range: Range<usize>,
}

impl From<Tokens> for Sequence {
    /// A text whose tokens are its bytes.
    fn from(text: Tokens) -> Self {
        Self::joined(vec![text], Width::Byte)
    }
}

impl Sequence {
    /// Files behind one another. Bytes behind a file's last whole token are passed over.
    pub fn joined(parts: Vec<Tokens>, width: Width) -> Self {
        let length = parts.iter().map(|part| part.len() / width.bytes()).sum();
        Self { parts, width, range: 0..length }
    }

    /// Number of tokens.
    pub fn len(&self) -> usize {
        self.range.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.range.is_empty()
    }

    /// How many bytes a token takes.
    pub fn width(&self) -> Width {
        self.width
    }

    /// The tokens from `at` on, and those before it stay. `at` beyond the end splits at the end.
    pub fn split_off(&mut self, at: usize) -> Self {
        let middle = self.range.start + at.min(self.len());
        let tail = Self { range: middle..self.range.end, ..self.clone() };
        self.range.end = middle;
        tail
    }

    /// Adds the tokens of a range, which must lie inside, to `out`.
    pub fn read(&self, range: Range<usize>, out: &mut Vec<u32>) {
        for bytes in self.pieces(range) {
            self.width.read(bytes, out);
        }
    }

    /// The tokens of a range, which must lie inside.
    pub fn tokens(&self, range: Range<usize>) -> Vec<u32> {
        let mut out = Vec::with_capacity(range.len());
        self.read(range, &mut out);
        out
    }

    /// The bytes of a range, part by part.
    pub fn pieces(&self, range: Range<usize>) -> Vec<&[u8]> {
        let size = self.width.bytes();
        let (mut from, to) = (self.range.start + range.start, self.range.start + range.end);
        assert!(to <= self.range.end, "tokens {range:?} of {}", self.len());
        let (mut pieces, mut before) = (Vec::new(), 0);
        for part in &self.parts {
            let length = part.len() / size;
            if from < to && from < before + length {
                let end = to.min(before + length);
                pieces.push(&part[(from - before) * size..(end - before) * size]);
                from = end;
            }
            before += length;
        }
        pieces
    }

    /// The largest token; none where there are no tokens.
    pub fn largest(&self) -> Option<u32> {
        const AT_ONCE: usize = 1 << 20;
        let starts: Vec<usize> = (0..self.len()).step_by(AT_ONCE).collect();
        starts
            .into_par_iter()
            .filter_map(|start| self.tokens(start..self.len().min(start + AT_ONCE)).into_iter().max())
            .max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_of_every_width_are_read_across_parts() {
        let numbers: Vec<u32> = (0..50).map(|i| i * 5).collect();
        for width in [Width::Byte, Width::Two, Width::Four] {
            let bytes = |numbers: &[u32]| {
                let all: Vec<u8> = numbers.iter().flat_map(|n| n.to_le_bytes()[..width.bytes()].to_vec()).collect();
                assert_eq!(width.write(numbers), all);
                Tokens::owned(all)
            };
            for cut in [0, 1, 17, 50] {
                let mut head = Sequence::joined(vec![bytes(&numbers[..cut]), bytes(&numbers[cut..])], width);
                assert_eq!(head.tokens(0..50), numbers);
                assert_eq!(head.tokens(10..23), numbers[10..23]);
                assert_eq!(head.largest(), Some(245));
                let tail = head.split_off(20);
                assert_eq!((head.len(), tail.len()), (20, 30));
                assert_eq!(tail.tokens(1..4), numbers[21..24]);
                assert_eq!(head.largest(), Some(95));
            }
        }
        assert_eq!(Sequence::from(Tokens::owned(Vec::new())).largest(), None);
    }

    #[test]
    #[should_panic(expected = "tokens 3..5 of 4")]
    fn a_part_never_reads_beyond_its_end() {
        let mut head = Sequence::from(Tokens::owned(b"abcdef".to_vec()));
        head.split_off(4);
        head.tokens(3..5);
    }
}
