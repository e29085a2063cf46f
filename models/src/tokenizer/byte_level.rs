//! A fast way for byte-level BPE: the tokens of a word depend on nothing but the word, so that those of words met before are
//! looked up. Words that are new go to the `tokenizers` crate.

use rustc_hash::FxHashMap;
use tokenizers::models::ModelWrapper;
use tokenizers::{Model, Tokenizer as HuggingFace};

use super::added::{AddedTokens, Part};
use super::splitting::{Memories, Splitting};
use crate::{Error, Result};

/// Words that are remembered, and the most bytes of one.
const MOST_WORDS: usize = 1 << 18;
const LONGEST_WORD: usize = 64;

/// The tokens of the words met so far. Of one tokenizer only; each thread has its own.
#[derive(Debug, Default)]
pub struct WordCache {
    known: Known,
    memories: Memories,
}

#[derive(Debug, Default)]
struct Known {
    /// Where a word's tokens are in `tokens`.
    places: FxHashMap<Box<str>, (u32, u32)>,
    tokens: Vec<u32>,
    /// A word in the alphabet of bytes.
    spelled: String,
}

impl Known {
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
    added: AddedTokens,
    splitting: Splitting,
    /// The letter that stands for a byte.
    alphabet: [char; 256],
}

impl ByteLevelBpe {
    /// None unless the tokenizer's words can be cut here and it has a token for every byte, so that no text is lost.
    pub(super) fn of(tokenizer: &HuggingFace) -> Option<Self> {
        let ModelWrapper::BPE(model) = tokenizer.get_model() else { return None };
        let splitting = Splitting::of(tokenizer.get_pre_tokenizer()?)?;
        let alphabet = alphabet();
        let plain = model.dropout.is_none_or(|dropout| dropout == 0.0)
            && model.continuing_subword_prefix.as_ref().is_none_or(String::is_empty)
            && model.end_of_word_suffix.as_ref().is_none_or(String::is_empty)
            && alphabet.iter().all(|letter| model.token_to_id(letter.encode_utf8(&mut [0; 4])).is_some());
        if !plain {
            return None;
        }
        Some(Self { added: AddedTokens::of(tokenizer)?, splitting, alphabet })
    }

    /// Adds the tokens of a text to `out`; `false`, and nothing is added, where it must go to the crate as a whole.
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
        let before = out.len();
        let WordCache { known, memories } = cache;
        let mut failed = Ok(());
        let all = self.added.split(tokenizer.get_normalizer(), text, &mut |part| match part {
            Part::Token(id) => {
                out.push(id);
                true
            }
            Part::Text(text) => self.splitting.split(memories, text, &mut |word| {
                failed = self.word(tokenizer, known, word, out);
                failed.is_ok()
            }),
        });
        failed?;
        if !all {
            out.truncate(before);
        }
        Ok(all)
    }

    fn word(&self, tokenizer: &HuggingFace, known: &mut Known, word: &str, out: &mut Vec<u32>) -> Result<()> {
        if let Some(&(from, to)) = known.places.get(word) {
            out.extend_from_slice(&known.tokens[from as usize..to as usize]);
            return Ok(());
        }
        known.spelled.clear();
        known.spelled.extend(word.bytes().map(|byte| self.alphabet[usize::from(byte)]));
        let tokens = tokenizer.get_model().tokenize(&known.spelled);
        let tokens =
            tokens.map_err(|error| Error::Request(format!("the text cannot be encoded: {word:?}: {error}")))?;
        out.extend(tokens.iter().map(|token| token.id));
        if word.len() <= LONGEST_WORD {
            known.remember(word, tokens.into_iter().map(|token| token.id));
        }
        Ok(())
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
    use super::super::expression::tests::{LLAMA_3, texts};
    use super::super::{Kind, Tokenizer, train_byte_level};
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};
    use std::cell::RefCell;
    use std::path::Path;

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
        assert!(
            cache.known.places.contains_key(" tensor") && !cache.known.places.contains_key("=".repeat(300).as_str())
        );
        // A full cache begins anew.
        cache = WordCache::default();
        for number in 0..MOST_WORDS + 10 {
            cache.known.remember(&number.to_string(), [number as u32].into_iter());
        }
        assert_eq!(cache.known.places.len(), 10);
        let mut tokens = Vec::new();
        tokenizer.encode_piece_with(&mut cache, " tensor", &mut tokens).unwrap();
        assert_eq!(tokens, tokenizer.encode(" tensor").unwrap().tokens);
    }

    /// A tokenizer that differs from the trained one.
    fn changed(folder: &Path, json: &str, change: impl FnOnce(&mut Value)) -> Tokenizer {
        let mut value: Value = serde_json::from_str(json).unwrap();
        change(&mut value);
        let path = folder.join("other.json");
        std::fs::write(&path, value.to_string()).unwrap();
        Tokenizer::open(&path).unwrap()
    }

    #[test]
    fn other_tokenizers_go_to_the_crate() {
        let (json, _, folder) = trained(&[]);
        let fast = |change: &dyn Fn(&mut Value)| {
            let tokenizer = changed(folder.path(), &json, change);
            let mut tokens = Vec::new();
            // Some of these have no tokens for the text, either way.
            let with = tokenizer.encode_piece_with(&mut WordCache::default(), TEXT, &mut tokens);
            assert_eq!(with.ok().map(|()| tokens), tokenizer.encode_piece(TEXT).ok());
            tokenizer.has_words()
        };
        assert!(fast(&|_| ()));
        assert!(!fast(&|json| json["normalizer"] = json!({"type": "Lowercase"})));
        assert!(!fast(&|json| json["model"]["end_of_word_suffix"] = "e".into()));
        assert!(!fast(&|json| json["pre_tokenizer"] = json!({"type": "Whitespace"})));
        assert!(!fast(&|json| json["pre_tokenizer"] = json!({"type": "Sequence", "pretokenizers": []})));
        assert!(!fast(&|json| json["pre_tokenizer"] = sequence([split("e", "Removed", false)], level(false, false))));
    }

    fn split(pattern: &str, behavior: &str, invert: bool) -> Value {
        json!({"type": "Split", "pattern": {"Regex": pattern}, "behavior": behavior, "invert": invert})
    }

    fn level(prefix_space: bool, gpt_2: bool) -> Value {
        json!({"type": "ByteLevel", "add_prefix_space": prefix_space, "trim_offsets": true, "use_regex": gpt_2})
    }

    fn sequence<const STEPS: usize>(steps: [Value; STEPS], last: Value) -> Value {
        let steps: Vec<Value> = steps.into_iter().chain([last]).collect();
        json!({"type": "Sequence", "pretokenizers": steps})
    }

    /// Tokenizers of the kinds that are met: of Llama 3, GPT-4, GPT-NeoX, DeepSeek, StarCoder, Qwen, and what they can be set to.
    fn kinds() -> Vec<(Tokenizer, tempfile::TempDir)> {
        let digits = |individual: bool| json!({"type": "Digits", "individual_digits": individual});
        let plain = level(false, false);
        let pre_tokenizers = [
            sequence([split(LLAMA_3, "Isolated", false)], plain.clone()),
            sequence([split(LLAMA_3, "Removed", true)], plain.clone()),
            sequence([split(r"\p{L}+", "Removed", true)], plain.clone()),
            sequence([split(LLAMA_3, "Isolated", true)], level(true, false)),
            sequence(
                [split(r"\p{N}{1,3}", "Isolated", false), split("[一-龥]+", "Isolated", false)],
                level(false, true),
            ),
            sequence(
                [json!({"type": "Split", "pattern": {"String": "."}, "behavior": "Isolated", "invert": false})],
                plain.clone(),
            ),
            sequence([digits(true)], level(false, true)),
            sequence([digits(false), split(LLAMA_3, "Isolated", false)], plain.clone()),
            level(true, true),
            plain,
        ];
        let token = |id: usize, content: &str, rest: Value| {
            let mut token = json!({"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
                "normalized": false, "special": false});
            token.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
            token
        };
        let added = [
            vec![
                token(400, "    ", json!({})),
                token(401, "  ", json!({})),
                token(402, "Word", json!({"normalized": true})),
            ],
            vec![token(400, "é", json!({"normalized": true})), token(401, "½", json!({"special": true}))],
            vec![
                token(400, "word", json!({"single_word": true})),
                token(401, "日", json!({"rstrip": true, "lstrip": true})),
            ],
        ];
        let settings: [&dyn Fn(&mut Value); 6] = [
            &|_| (),
            &|json| json["model"]["ignore_merges"] = true.into(),
            &|json| json["normalizer"] = json!({"type": "NFC"}),
            &|json| json["normalizer"] = json!({"type": "NFKD"}),
            &|json| json["added_tokens"].as_array_mut().unwrap().extend(added[0].clone()),
            &|json| json["added_tokens"].as_array_mut().unwrap().extend(added[2].clone()),
        ];
        let (json, _, _) = trained(&["<|end|>"]);
        let mut kinds = Vec::new();
        for pre_tokenizer in &pre_tokenizers {
            for set in &settings {
                let folder = tempfile::tempdir().unwrap();
                let tokenizer = changed(folder.path(), &json, |json| {
                    json["pre_tokenizer"] = pre_tokenizer.clone();
                    set(json);
                });
                kinds.push((tokenizer, folder));
            }
            let folder = tempfile::tempdir().unwrap();
            let tokenizer = changed(folder.path(), &json, |json| {
                json["pre_tokenizer"] = pre_tokenizer.clone();
                json["normalizer"] = json!({"type": "NFC"});
                json["added_tokens"].as_array_mut().unwrap().extend(added[1].clone());
            });
            kinds.push((tokenizer, folder));
        }
        kinds
    }

    #[test]
    fn tokens_of_every_kind_are_those_of_the_crate() {
        let kinds: Vec<_> = kinds().into_iter().map(|kind| (kind, RefCell::new(WordCache::default()))).collect();
        assert!(kinds.iter().all(|((kind, _), _)| kind.has_words()));
        proptest!(|(text in texts())| {
            for (at, ((tokenizer, _), cache)) in kinds.iter().enumerate() {
                let Kind::File(crates) = &tokenizer.kind else { unreachable!() };
                let mut tokens = vec![7];
                let (words, before) = (tokenizer.words.as_ref().unwrap(), tokens.len());
                let known = words.encode(crates, &mut cache.borrow_mut(), &text, &mut tokens).unwrap();
                prop_assert!(known || tokens.len() == before);
                if known {
                    let theirs = crates.encode(text.as_str(), false).unwrap();
                    prop_assert_eq!(&tokens[before..], theirs.get_ids(), "kind {} of {:?}", at, text);
                }
            }
        });
    }

    /// Which texts go to the crate after all.
    #[test]
    fn texts_that_depend_on_more_than_words_go_to_the_crate() {
        let kinds = kinds();
        let known = |kind: usize, text: &str| {
            let (tokenizer, _) = &kinds[kind];
            let Kind::File(crates) = &tokenizer.kind else { unreachable!() };
            let words = tokenizer.words.as_ref().unwrap();
            words.encode(crates, &mut WordCache::default(), text, &mut Vec::new()).unwrap()
        };
        assert!(known(0, "It's 12345 <|end|>   日本 e\u{301}\n") && known(2, "e\u{301}") && known(4, "    Word"));
        // Two of the third expression's parts are dropped.
        assert!(known(14, "word") && !known(14, "word 1"));
        assert!(known(5, "a 本") && !known(5, "a word") && !known(5, "日"));
    }
}
