//! A fast way for byte-level BPE with the words of GPT-2: the tokens of a word depend on nothing but the word, so that those of
//! words met before are looked up. Words that are new go to the `tokenizers` crate.

use rustc_hash::FxHashMap;
use tokenizers::models::ModelWrapper;
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::{Model, Tokenizer as HuggingFace};

use super::words::Words;
use crate::{Error, Result};

/// Words that are remembered, and the most bytes of one.
const MOST_WORDS: usize = 1 << 18;
const LONGEST_WORD: usize = 64;

/// The tokens of the words met so far. Of one tokenizer only; each thread has its own.
#[derive(Debug, Default)]
pub struct WordCache {
    /// Where a word's tokens are in `tokens`.
    places: FxHashMap<Box<str>, (u32, u32)>,
    tokens: Vec<u32>,
    /// A word in the alphabet of bytes.
    spelled: String,
}

impl WordCache {
    fn remember(&mut self, word: &str, ids: impl Iterator<Item = u32>) {
        if self.places.len() == MOST_WORDS {
            self.places.clear();
            self.tokens.clear();
        }
        let from = self.tokens.len();
        self.tokens.extend(ids);
        self.places.insert(word.into(), (from as u32, self.tokens.len() as u32));
    }
}

/// A tokenizer whose words can be looked up.
pub(super) struct ByteLevelBpe {
    /// Texts that are tokens by themselves, before words are looked for.
    added: Vec<String>,
    /// The letter that stands for a byte.
    alphabet: [char; 256],
}

impl ByteLevelBpe {
    /// None unless the tokenizer cuts GPT-2's words and has a token for every byte, so that no text is lost.
    pub(super) fn of(tokenizer: &HuggingFace) -> Option<Self> {
        let PreTokenizerWrapper::ByteLevel(level) = tokenizer.get_pre_tokenizer()? else { return None };
        let ModelWrapper::BPE(model) = tokenizer.get_model() else { return None };
        let alphabet = alphabet();
        let plain = tokenizer.get_normalizer().is_none()
            && level.use_regex
            && !level.add_prefix_space
            && model.dropout.is_none_or(|dropout| dropout == 0.0)
            && model.continuing_subword_prefix.as_ref().is_none_or(String::is_empty)
            && model.end_of_word_suffix.as_ref().is_none_or(String::is_empty)
            && alphabet.iter().all(|letter| model.token_to_id(letter.encode_utf8(&mut [0; 4])).is_some())
            && Words::new("").is_some();
        let added = tokenizer.get_added_tokens_decoder().into_values().map(|token| token.content);
        plain.then(|| Self { added: added.filter(|content| !content.is_empty()).collect(), alphabet })
    }

    /// Adds the tokens of a text to `out`; `false` where it must go to the crate as a whole.
    ///
    /// # Errors
    /// What the crate meets with a word.
    pub(super) fn encode(
        &self,
        tokenizer: &HuggingFace,
        cache: &mut WordCache,
        text: &str,
        out: &mut Vec<u32>,
    ) -> Result<bool> {
        if self.added.iter().any(|added| text.contains(added.as_str())) {
            return Ok(false);
        }
        let Some(words) = Words::new(text) else { return Ok(false) };
        for word in words {
            if let Some(&(from, to)) = cache.places.get(word) {
                out.extend_from_slice(&cache.tokens[from as usize..to as usize]);
                continue;
            }
            cache.spelled.clear();
            cache.spelled.extend(word.bytes().map(|byte| self.alphabet[usize::from(byte)]));
            let tokens = tokenizer.get_model().tokenize(&cache.spelled);
            let tokens =
                tokens.map_err(|error| Error::Request(format!("the text cannot be encoded: {word:?}: {error}")))?;
            out.extend(tokens.iter().map(|token| token.id));
            if word.len() <= LONGEST_WORD {
                cache.remember(word, tokens.into_iter().map(|token| token.id));
            }
        }
        Ok(true)
    }
}

/// The letters that stand for bytes: printable bytes of Latin-1 for themselves, the others by letters from U+0100 on in their
/// order (GPT-2's `bytes_to_unicode`).
fn alphabet() -> [char; 256] {
    let mut next = 0x100u32..;
    std::array::from_fn(|byte| {
        let byte = byte as u8;
        let letter = match byte {
            b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff => Some(u32::from(byte)),
            _ => next.next(),
        };
        letter.and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER)
    })
}

#[cfg(test)]
mod tests {
    use super::super::{Tokenizer, train_byte_level};
    use super::*;

    const TEXT: &str =
        "The kernel's gradient isn't a tensor; the tensors'll be 12 or 345 of 日本語 and été.\n\n    fn x() {}\n";

    fn trained(special: &[&str]) -> (String, Tokenizer, tempfile::TempDir) {
        let text = TEXT.repeat(30);
        let special: Vec<String> = special.iter().map(|token| token.to_string()).collect();
        let (json, _) = train_byte_level([text.as_str()].into_iter(), 330, &special).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokenizer.json");
        std::fs::write(&path, &json).unwrap();
        let tokenizer = Tokenizer::open(&path).unwrap();
        (json, tokenizer, folder)
    }

    #[test]
    fn the_alphabet_is_the_crates() {
        let ours: std::collections::BTreeSet<char> = alphabet().into_iter().collect();
        let theirs = tokenizers::pre_tokenizers::byte_level::ByteLevel::alphabet().into_iter().collect();
        assert_eq!(ours, theirs);
        assert_eq!((alphabet()[usize::from(b' ')], alphabet()[usize::from(b'\n')]), ('Ġ', 'Ċ'));
    }

    #[test]
    fn tokens_are_those_of_the_crate() {
        let (_, tokenizer, _folder) = trained(&["<|end|>"]);
        let mut cache = WordCache::default();
        let long = "=".repeat(300) + &"word ".repeat(50) + "\n";
        let texts = [
            TEXT,
            "",
            " ",
            "new words: grading tensorial\t\u{0}\u{7f} ÿ🦀🦀",
            &long,
            TEXT,
            "a <|end|> b",
            "<|end|>",
            "<|en",
        ];
        for text in texts.iter().chain(&texts) {
            let mut tokens = vec![7];
            tokenizer.encode_piece_with(&mut cache, text, &mut tokens).unwrap();
            assert_eq!(tokens[1..], tokenizer.encode(text).unwrap().tokens, "{text:?}");
        }
        assert!(cache.places.contains_key(" tensor") && !cache.places.contains_key("=".repeat(300).as_str()));
        // A full cache begins anew.
        cache = WordCache::default();
        for number in 0..MOST_WORDS + 10 {
            cache.remember(&number.to_string(), [number as u32].into_iter());
        }
        assert_eq!(cache.places.len(), 10);
        let mut tokens = Vec::new();
        tokenizer.encode_piece_with(&mut cache, " tensor", &mut tokens).unwrap();
        assert_eq!(tokens, tokenizer.encode(" tensor").unwrap().tokens);
    }

    #[test]
    fn other_tokenizers_go_to_the_crate() {
        let (json, _, folder) = trained(&[]);
        let fast = |change: &dyn Fn(&mut serde_json::Value)| {
            let mut value: serde_json::Value = serde_json::from_str(&json).unwrap();
            change(&mut value);
            let path = folder.path().join("other.json");
            std::fs::write(&path, value.to_string()).unwrap();
            let tokenizer = Tokenizer::open(&path).unwrap();
            let mut tokens = Vec::new();
            // Some of these have no tokens for the text, either way.
            let with = tokenizer.encode_piece_with(&mut WordCache::default(), TEXT, &mut tokens);
            assert_eq!(with.ok().map(|()| tokens), tokenizer.encode_piece(TEXT).ok());
            tokenizer.has_words()
        };
        assert!(fast(&|_| ()));
        assert!(!fast(&|json| json["pre_tokenizer"]["add_prefix_space"] = true.into()));
        assert!(!fast(&|json| json["pre_tokenizer"]["use_regex"] = false.into()));
        assert!(!fast(&|json| json["normalizer"] = serde_json::json!({"type": "Lowercase"})));
        assert!(!fast(&|json| json["model"]["end_of_word_suffix"] = "e".into()));
    }
}
