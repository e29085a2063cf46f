//! Text to tokens and back: bytes, or what a Hugging Face `tokenizer.json` says.
//!
//! The `tokenizers` crate does the work; here is what a model needs of it: which ids its vocabulary has, which text cannot be
//! encoded, and text that comes out as it is generated.

mod added;
mod byte_level;
mod expression;
mod splitting;
mod training;
mod words;

use std::path::Path;

use tokenizers::{Encoding, Tokenizer as HuggingFace};

use crate::configuration::{Architecture, ModelConfiguration};
use crate::folder::{self, read_text};
use crate::hugging_face::SpecialTokens;
use crate::{Error, Result};

use byte_level::ByteLevelBpe;
pub use byte_level::WordCache;
pub use training::train_byte_level;

/// The file of a tokenizer beside a model's weights.
pub const TOKENIZER: &str = "tokenizer.json";
/// Number of different bytes.
pub const BYTES: usize = 256;

/// Turns text into tokens of a model.
pub struct Tokenizer {
    kind: Kind,
    vocabulary: usize,
    special: SpecialTokens,
    /// Put before a text whose tokens do not begin with it.
    begin: Option<u32>,
    /// The fast way, where there is one.
    words: Option<ByteLevelBpe>,
}

impl std::fmt::Debug for Tokenizer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Tokenizer").field("vocabulary", &self.vocabulary).finish_non_exhaustive()
    }
}

enum Kind {
    Bytes,
    File(Box<HuggingFace>),
}

/// Tokens of a text, and how many of its bytes come after the first of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Encoded {
    /// The tokens.
    pub tokens: Vec<u32>,
    /// Bytes of the text that are not in the first token: those that the others stand for.
    pub bytes_after_first: usize,
}

impl Tokenizer {
    /// Tokens that are bytes, of a vocabulary of this size.
    pub fn bytes(vocabulary: usize) -> Self {
        Self { kind: Kind::Bytes, vocabulary, special: SpecialTokens::default(), begin: None, words: None }
    }

    /// The tokenizer of a model's folder: its `tokenizer.json`, or bytes where it has none.
    ///
    /// # Errors
    /// A `tokenizer.json` that cannot be read or has more tokens than the model.
    pub fn of_folder(folder: &Path, model: &ModelConfiguration) -> Result<Self> {
        let path = folder.join(TOKENIZER);
        if !path.is_file() {
            return Ok(Self::bytes(model.vocab_size));
        }
        let mut tokenizer = Self::open(&path)?;
        if tokenizer.vocabulary > model.vocab_size {
            let message = format!(
                "it has a token with the id {}, and the model has {} tokens: it is another model's",
                tokenizer.vocabulary - 1,
                model.vocab_size
            );
            return Err(Error::content(path, message));
        }
        tokenizer.vocabulary = model.vocab_size;
        tokenizer.special = folder::special_tokens(folder)?;
        // xLSTMs were trained with the token in front of every text, and their tokenizer does not put it there.
        let begin = tokenizer.special.begin.filter(|begin| (*begin as usize) < model.vocab_size);
        tokenizer.begin = begin.filter(|_| model.architecture == Architecture::Xlstm);
        Ok(tokenizer)
    }

    /// A `tokenizer.json` by itself.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn open(path: &Path) -> Result<Self> {
        let mut tokenizer = HuggingFace::from_bytes(read_text(path)?)
            .map_err(|error| Error::content(path, format!("it is no tokenizer: {error}")))?;
        // A text is taken whole and as it is, whatever the file was last used for.
        tokenizer.with_padding(None);
        tokenizer.with_truncation(None).map_err(|error| Error::content(path, error.to_string()))?;
        // Ids may have gaps.
        let vocabulary = tokenizer.get_vocab(true).into_values().max().map_or(0, |largest| largest as usize + 1);
        let words = ByteLevelBpe::of(&tokenizer);
        let kind = Kind::File(Box::new(tokenizer));
        Ok(Self { kind, vocabulary, special: SpecialTokens::default(), begin: None, words })
    }

    /// Whether tokens are bytes.
    pub fn is_bytes(&self) -> bool {
        matches!(self.kind, Kind::Bytes)
    }

    /// The tokens that a model with this tokenizer takes.
    pub fn vocabulary(&self) -> usize {
        self.vocabulary
    }

    /// The tokens that begin and end texts; none where tokens are bytes.
    pub fn special(&self) -> &SpecialTokens {
        &self.special
    }

    /// The tokens of a text, with those in front of it that the model was trained with.
    ///
    /// # Errors
    /// Text that this tokenizer has no tokens for: says where.
    pub fn encode(&self, text: &str) -> Result<Encoded> {
        match &self.kind {
            Kind::Bytes => {
                if let Some((at, byte)) =
                    text.bytes().enumerate().find(|(_, byte)| usize::from(*byte) >= self.vocabulary)
                {
                    return Err(Error::Request(format!(
                        "the text cannot be encoded: its byte {at} is {byte}, and the model has only {} tokens",
                        self.vocabulary
                    )));
                }
                let tokens: Vec<u32> = text.bytes().map(u32::from).collect();
                Ok(Encoded { bytes_after_first: tokens.len().saturating_sub(1), tokens })
            }
            Kind::File(tokenizer) => self.encode_with(tokenizer, text),
        }
    }

    /// The tokens of a piece from the middle of a text: nothing is put before or behind them.
    ///
    /// # Errors
    /// As [`Self::encode`].
    pub fn encode_piece(&self, piece: &str) -> Result<Vec<u32>> {
        match &self.kind {
            Kind::Bytes => Ok(self.encode(piece)?.tokens),
            Kind::File(tokenizer) => Ok(encoding(tokenizer, piece, false)?.get_ids().to_vec()),
        }
    }

    /// Adds the tokens of [`Self::encode_piece`] to `out`, with the tokens of words that `cache` knows. It is of this tokenizer
    /// alone, empty at first.
    ///
    /// # Errors
    /// As [`Self::encode`].
    pub fn encode_piece_with(&self, cache: &mut WordCache, piece: &str, out: &mut Vec<u32>) -> Result<()> {
        let known = match (&self.kind, &self.words) {
            (Kind::File(tokenizer), Some(words)) => words.encode(tokenizer, cache, piece, out)?,
            _ => false,
        };
        if !known {
            out.extend(self.encode_piece(piece)?);
        }
        Ok(())
    }

    /// Whether [`Self::encode_piece_with`] looks words up.
    pub fn has_words(&self) -> bool {
        self.words.is_some()
    }

    /// The tokens that the tokenizer's own rules put before every text.
    ///
    /// # Errors
    /// A tokenizer that cannot encode the letter a, by which they are found.
    pub fn prefix(&self) -> Result<Vec<u32>> {
        let Kind::File(tokenizer) = &self.kind else { return Ok(Vec::new()) };
        let (with, without) = (encoding(tokenizer, "a", true)?, encoding(tokenizer, "a", false)?);
        let (with, without) = (with.get_ids(), without.get_ids());
        let at = with.windows(without.len().max(1)).position(|window| window == without);
        Ok(with[..at.unwrap_or(0)].to_vec())
    }

    /// The id of a token by its name, such as `<|endoftext|>`.
    pub fn id_of(&self, token: &str) -> Option<u32> {
        match &self.kind {
            Kind::Bytes => None,
            Kind::File(tokenizer) => tokenizer.token_to_id(token),
        }
    }

    fn encode_with(&self, tokenizer: &HuggingFace, text: &str) -> Result<Encoded> {
        let encoding = encoding(tokenizer, text, true)?;
        let mut tokens = encoding.get_ids().to_vec();
        let mut bytes_after_first =
            text.len() - encoding.get_offsets().first().map_or(0, |(_, end)| *end).min(text.len());
        if let Some(begin) = self.begin.filter(|begin| tokens.first() != Some(begin)) {
            tokens.insert(0, begin);
            bytes_after_first = text.len();
        }
        Ok(Encoded { tokens, bytes_after_first })
    }

    /// Text of tokens as they come.
    pub fn stream(&self) -> TextStream<'_> {
        TextStream { tokenizer: self, tokens: Vec::new(), prefix: 0, shown: 0, waiting: Vec::new() }
    }

    fn decode(&self, tokens: &[u32]) -> String {
        match &self.kind {
            Kind::Bytes => String::new(),
            // It fails on nothing but its own faults; an id that it does not know gives no text.
            Kind::File(tokenizer) => tokenizer.decode(tokens, true).unwrap_or_default(),
        }
    }
}

/// The tokens of a text, with those that the tokenizer's own rules put around it if `around`.
fn encoding(tokenizer: &HuggingFace, text: &str, around: bool) -> Result<Encoding> {
    let encoding = tokenizer
        .encode(text, around)
        .map_err(|error| Error::Request(format!("the text cannot be encoded: {error}")))?;
    // A tokenizer without a token for the unknown leaves out, without a word, what it does not know.
    let mut covered = vec![false; text.len()];
    for (begin, end) in encoding.get_offsets() {
        covered[*begin.min(&text.len())..*end.min(&text.len())].fill(true);
    }
    let lost = text
        .char_indices()
        .find(|(at, character)| !covered[*at] && !character.is_whitespace() && !character.is_control());
    if let Some((at, _)) = lost {
        // Behind a character that was left out offsets may be off within its word: the word is named.
        let space = text[..at].char_indices().rev().find(|(_, character)| character.is_whitespace());
        let first = space.map_or(0, |(at, character)| at + character.len_utf8());
        let word = text[first..].split_whitespace().next().unwrap_or_default();
        let message =
            format!("the text cannot be encoded: the tokenizer has no tokens for all of {word:?} at byte {first}");
        return Err(Error::Request(message));
    }
    Ok(encoding)
}

/// Joins tokens to text. What is no UTF-8 becomes U+FFFD.
pub struct TextStream<'a> {
    tokenizer: &'a Tokenizer,
    tokens: Vec<u32>,
    /// Tokens from here on are decoded together, since how a token reads depends on the ones before.
    prefix: usize,
    /// Tokens before here are in the text that was given.
    shown: usize,
    waiting: Vec<u8>,
}

impl TextStream<'_> {
    /// Takes a token and returns the text that is whole by now.
    pub fn push(&mut self, token: u32) -> String {
        if self.tokenizer.is_bytes() {
            return self.push_byte(token);
        }
        self.tokens.push(token);
        let before = self.tokenizer.decode(&self.tokens[self.prefix..self.shown]);
        let now = self.tokenizer.decode(&self.tokens[self.prefix..]);
        // A character of several tokens ends in U+FFFD until the last of them is there.
        if now.ends_with('\u{fffd}') && self.tokens.len() - self.shown < 8 {
            return String::new();
        }
        let new = now.get(before.len()..).unwrap_or_default().to_owned();
        if !new.is_empty() {
            (self.prefix, self.shown) = (self.shown, self.tokens.len());
        }
        new
    }

    /// Tokens from 256 on stand for no byte.
    fn push_byte(&mut self, token: u32) -> String {
        match u8::try_from(token) {
            Ok(byte) => {
                self.waiting.push(byte);
                self.whole()
            }
            Err(_) => self.finish() + "\u{fffd}",
        }
    }

    fn whole(&mut self) -> String {
        let mut text = String::new();
        loop {
            match std::str::from_utf8(&self.waiting) {
                Ok(rest) => {
                    text.push_str(rest);
                    self.waiting.clear();
                    return text;
                }
                Err(error) => {
                    let good = error.valid_up_to();
                    text.push_str(&String::from_utf8_lossy(&self.waiting[..good]));
                    let Some(bad) = error.error_len() else {
                        // The start of a character whose end is still to come.
                        self.waiting.drain(..good);
                        return text;
                    };
                    text.push('\u{fffd}');
                    self.waiting.drain(..good + bad);
                }
            }
        }
    }

    /// What is left at the end.
    pub fn finish(&mut self) -> String {
        if self.tokenizer.is_bytes() {
            return String::from_utf8_lossy(&std::mem::take(&mut self.waiting)).into_owned();
        }
        let before = self.tokenizer.decode(&self.tokens[self.prefix..self.shown]);
        let now = self.tokenizer.decode(&self.tokens[self.prefix..]);
        self.shown = self.tokens.len();
        now.get(before.len()..).unwrap_or_default().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "The kernel of the tensor is a tensor; the gradient of the kernel is a gradient.\n";

    fn trained(vocabulary: usize) -> (tempfile::TempDir, Tokenizer) {
        let text = TEXT.repeat(20);
        let (json, size) = train_byte_level([text.as_str()].into_iter(), vocabulary, &["<|end|>".into()]).unwrap();
        assert_eq!(size, vocabulary);
        let again = train_byte_level([text.as_str()].into_iter(), vocabulary, &["<|end|>".into()]).unwrap();
        assert_eq!(again, (json.clone(), size), "the same text gives the same tokenizer");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(TOKENIZER);
        std::fs::write(&path, json).unwrap();
        let tokenizer = Tokenizer::open(&path).unwrap();
        (folder, tokenizer)
    }

    fn streamed(tokenizer: &Tokenizer, tokens: &[u32]) -> String {
        let mut stream = tokenizer.stream();
        let text: String = tokens.iter().map(|token| stream.push(*token)).collect();
        text + &stream.finish()
    }

    #[test]
    fn every_text_comes_back_from_a_byte_level_tokenizer() {
        let (_folder, tokenizer) = trained(280);
        assert!(tokenizer.encode(TEXT).unwrap().tokens.len() < TEXT.len() / 2);
        for text in [TEXT, "", " Übergröße, 日本語 🦀🦀 end\n\n\t x", "  \u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467} é"]
        {
            let encoded = tokenizer.encode(text).unwrap();
            assert_eq!(streamed(&tokenizer, &encoded.tokens), text);
            assert!(encoded.tokens.iter().all(|token| (*token as usize) < tokenizer.vocabulary()));
        }
        let encoded = tokenizer.encode("tensor kernel").unwrap();
        let first = streamed(&tokenizer, &encoded.tokens[..1]);
        assert_eq!(encoded.bytes_after_first, "tensor kernel".len() - first.len());
    }

    #[test]
    fn pieces_have_nothing_put_before_them() {
        let (folder, tokenizer) = trained(280);
        assert_eq!(
            (tokenizer.prefix().unwrap(), tokenizer.id_of("<|end|>"), tokenizer.id_of("none")),
            (vec![], Some(0), None)
        );
        assert_eq!(tokenizer.encode_piece(TEXT).unwrap(), tokenizer.encode(TEXT).unwrap().tokens);
        let path = folder.path().join(TOKENIZER);
        let mut json: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let token = serde_json::json!({"id": "<|end|>", "ids": [0], "tokens": ["<|end|>"]});
        json["post_processor"] = serde_json::json!({
            "type": "TemplateProcessing", "pair": [{"Sequence": {"id": "A", "type_id": 0}}],
            "single": [{"SpecialToken": {"id": "<|end|>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
            "special_tokens": {"<|end|>": token},
        });
        std::fs::write(&path, json.to_string()).unwrap();
        let with = Tokenizer::open(&path).unwrap();
        assert_eq!(with.prefix().unwrap(), [0]);
        assert_eq!(with.encode_piece(TEXT).unwrap(), tokenizer.encode_piece(TEXT).unwrap());
        assert_eq!(with.encode(TEXT).unwrap().tokens[1..], tokenizer.encode_piece(TEXT).unwrap());
    }

    #[test]
    fn text_comes_out_as_soon_as_it_is_whole() {
        let (_folder, tokenizer) = trained(260);
        let tokens = tokenizer.encode("a🦀b").unwrap().tokens;
        let mut stream = tokenizer.stream();
        let pieces: Vec<String> = tokens.iter().map(|token| stream.push(*token)).collect();
        assert_eq!(pieces, ["a", "", "", "", "🦀", "b"]);
        // Bytes that never become a character are shown, not kept for ever.
        let bad = tokenizer.encode("é").unwrap().tokens[0];
        assert!(!streamed(&tokenizer, &[bad; 40]).is_empty());
    }

    #[test]
    fn bytes_come_out_as_they_went_in() {
        let bytes = Tokenizer::bytes(256);
        let round = |text: &[u8]| streamed(&bytes, &text.iter().map(|byte| u32::from(*byte)).collect::<Vec<_>>());
        for text in ["fn main() {}\n", "Übergröße, 日本, 🦀 end", ""] {
            assert_eq!(round(text.as_bytes()), text);
            assert_eq!(bytes.encode(text).unwrap().tokens.len(), text.len());
        }
        let mut stream = bytes.stream();
        assert_eq!((stream.push(0xc3), stream.push(0xa9)), (String::new(), "é".into()));
        for bad in [&b"a\xffb\xc3(c\xe6\x97"[..], b"\xf0\x9f\xa6", b"\x80\x80", b"\xe6\x97a"] {
            assert_eq!(round(bad), String::from_utf8_lossy(bad));
        }
        let mut stream = bytes.stream();
        assert_eq!((stream.push(b'a'.into()), stream.push(300)), ("a".into(), "\u{fffd}".into()));
        let error = Tokenizer::bytes(97).encode("ABC d").unwrap_err().to_string();
        assert!(error.contains("its byte 4 is 100, and the model has only 97 tokens"), "{error}");
    }

    /// A tokenizer without a token for the unknown drops what it does not know: an error here.
    #[test]
    fn characters_without_a_token_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(TOKENIZER);
        let json = r#"{"version": "1.0", "truncation": {"direction": "Right", "max_length": 2, "strategy": "LongestFirst",
            "stride": 0}, "padding": null, "added_tokens": [], "normalizer": null, "pre_tokenizer": {"type": "Whitespace"},
            "post_processor": null, "decoder": null, "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2},
            "merges": [["a", "b"]]}}"#;
        std::fs::write(&path, json).unwrap();
        let tokenizer = Tokenizer::open(&path).unwrap();
        assert_eq!(tokenizer.encode("ab b a a").unwrap().tokens, [2, 1, 0, 0], "nothing is cut off");
        let error = tokenizer.encode("ab cab").unwrap_err().to_string();
        assert!(error.contains("no tokens for all of \"cab\" at byte 3"), "{error}");
        std::fs::write(&path, "{}").unwrap();
        assert!(Tokenizer::open(&path).err().unwrap().to_string().contains("it is no tokenizer"));
    }

    #[test]
    fn vocabularies_too_small_for_bytes_are_refused() {
        let error = train_byte_level(["a"].into_iter(), 256, &["<s>".into()]).unwrap_err().to_string();
        assert!(error.contains("at least 257"), "{error}");
        // A text too short for so many tokens gives fewer.
        assert_eq!(train_byte_level(["abab abab"].into_iter(), 1000, &[]).unwrap().1, 258);
    }

    #[test]
    fn xlstms_begin_with_their_first_token() {
        let (folder, _) = trained(280);
        let at = folder.path();
        let write = |name: &str, text: &str| std::fs::write(at.join(name), text).unwrap();
        write("config.json", r#"{"bos_token_id": 0, "eos_token_id": 2}"#);
        write("generation_config.json", r#"{"eos_token_id": [7]}"#);
        let mut model = crate::configuration::presets::find("xlstm-tiny").unwrap().model;
        assert!(Tokenizer::of_folder(at, &model).err().unwrap().to_string().contains("another model's"));
        model.vocab_size = 320;
        let tokenizer = Tokenizer::of_folder(at, &model).unwrap();
        let encoded = tokenizer.encode("kernel").unwrap();
        assert_eq!((encoded.tokens[0], encoded.bytes_after_first), (0, 6));
        assert_eq!(tokenizer.special().end, [7]);
        model.architecture = Architecture::Transformer;
        assert_ne!(Tokenizer::of_folder(at, &model).unwrap().encode("kernel").unwrap().tokens[0], 0);
    }
}
