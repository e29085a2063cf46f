//! The words of GPT-2: text cut as by the regular expression
//!
//! ```text
//! 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
//! ```
//!
//! (Radford et al., "Language Models are Unsupervised Multitask Learners", 2019, `encoder.py`), by hand: many times faster.

use std::sync::OnceLock;

use regex_syntax::hir::{Class, HirKind};

/// What the expression asks of a character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Other,
    Letter,
    Number,
    Space,
}

/// The kind of every character, by its number.
struct Kinds(Vec<Kind>);

impl Kinds {
    /// From the same tables of Unicode that the `tokenizers` crate's regular expressions are made with; none if a name in them
    /// is not known.
    fn of_unicode() -> Option<Self> {
        let mut kinds = vec![Kind::Other; char::MAX as usize + 1];
        for (name, kind) in [(r"\p{L}", Kind::Letter), (r"\p{N}", Kind::Number), (r"\s", Kind::Space)] {
            let parsed = regex_syntax::parse(name).ok()?;
            let HirKind::Class(Class::Unicode(class)) = parsed.kind() else { return None };
            for range in class.ranges() {
                kinds[range.start() as usize..=range.end() as usize].fill(kind);
            }
        }
        Some(Self(kinds))
    }

    fn get() -> Option<&'static Self> {
        static KINDS: OnceLock<Option<Kinds>> = OnceLock::new();
        KINDS.get_or_init(Self::of_unicode).as_ref()
    }

    /// The kind and length of the first character.
    fn first(&self, text: &str) -> Option<(Kind, usize)> {
        match text.as_bytes().first() {
            Some(byte) if byte.is_ascii() => Some((self.0[usize::from(*byte)], 1)),
            _ => text.chars().next().map(|character| (self.0[character as usize], character.len_utf8())),
        }
    }

    /// The length of the characters of a kind at the beginning, and the length of the last of them.
    fn run(&self, text: &str, kind: Kind) -> (usize, usize) {
        let (mut end, mut last) = (0, 0);
        while let Some((_, length)) = self.first(&text[end..]).filter(|(next, _)| *next == kind) {
            (end, last) = (end + length, length);
        }
        (end, last)
    }
}

/// The words of a text, one after the other; together they are the text.
pub(super) struct Words<'a> {
    text: &'a str,
    kinds: &'static Kinds,
}

impl<'a> Words<'a> {
    /// None where the tables of Unicode lack something.
    pub(super) fn new(text: &'a str) -> Option<Self> {
        Kinds::get().map(|kinds| Self { text, kinds })
    }

    /// The length of the first word, if there is one.
    fn length(&self) -> Option<usize> {
        let text = self.text;
        if let Some(rest) = text.strip_prefix('\'')
            && let Some(ending) =
                ["s", "t", "re", "ve", "m", "ll", "d"].into_iter().find(|ending| rest.starts_with(ending))
        {
            return Some(1 + ending.len());
        }
        let space = usize::from(text.starts_with(' '));
        match self.kinds.first(&text[space..]) {
            Some((kind, _)) if kind != Kind::Space => Some(space + self.kinds.run(&text[space..], kind).0),
            _ => {
                let (end, last) = self.kinds.run(text, Kind::Space);
                // Before another word the last one is left: a space belongs to that.
                let all = end == text.len() || end == last;
                (end > 0).then_some(if all { end } else { end - last })
            }
        }
    }
}

impl<'a> Iterator for Words<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let (word, rest) = self.text.split_at(self.length()?);
        self.text = rest;
        Some(word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokenizers::pre_tokenizers::byte_level::ByteLevel;
    use tokenizers::{OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer};

    /// The lengths of the words that the crate finds.
    fn theirs(text: &str) -> Vec<usize> {
        let mut pre_tokenized = PreTokenizedString::from(text);
        ByteLevel::new(false, false, true).pre_tokenize(&mut pre_tokenized).unwrap();
        let splits = pre_tokenized.get_splits(OffsetReferential::Original, OffsetType::Byte);
        splits.into_iter().map(|(_, (from, to), _)| to - from).collect()
    }

    fn same(text: &str) {
        let ours: Vec<&str> = Words::new(text).unwrap().collect();
        assert_eq!(ours.concat(), text);
        let ours: Vec<usize> = ours.into_iter().map(str::len).collect();
        assert_eq!(ours, theirs(text), "{text:?}");
    }

    #[test]
    fn words_are_those_of_the_expression() {
        for text in [
            "a",
            " ",
            "  ",
            "\n",
            " \n",
            "'s",
            "'",
            "''s",
            " 's",
            "it's they'll I'D we've 'tis'm",
            "a  b",
            "a \n\n b\n",
            "x\t y",
            "fn main() {\n    let x = 12.5e-3; // été 日本語 ½ ² Ⅷ\n}\n\n\n",
            "    \u{a0} \u{3000}a",
            "tail   ",
            "\r\n\r\nx",
            "e\u{301}a\u{300}",
            "🦀🦀 🦀",
            "ab12cd 34ef ...! ?",
            "\u{200b}a \u{feff}",
            "ʰ ªº ǅ",
            "\u{1e030}x",
        ] {
            same(text);
        }
    }

    /// Every character between two others, at the end, and behind a space.
    #[test]
    fn every_character_is_of_its_kind() {
        for block in (0..=char::MAX as u32).step_by(0x800) {
            let text: String = (block..block + 0x800)
                .filter_map(char::from_u32)
                .flat_map(|character| ['a', character, '1', character, '!', character, ' ', character, ' '])
                .collect();
            if !text.is_empty() {
                same(&text);
            }
        }
    }

    /// Texts of parts that the expression tells apart, in any order.
    #[test]
    fn random_texts_have_the_same_words() {
        let parts = [
            " ", "  ", "\n", "\t", "a", "Bc", "1", "23", "'", "'s", "'ll", "!", "é", "日", "½", "\u{a0}", "\u{301}",
            "🦀",
        ];
        let mut state = 7u64;
        let mut draw = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize
        };
        for _ in 0..3000 {
            let text: String = (0..1 + draw() % 12).map(|_| parts[draw() % parts.len()]).collect();
            same(&text);
        }
    }
}
