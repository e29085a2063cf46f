//! Chunks of text to tokens.

use std::borrow::Cow;
use std::sync::{Mutex, PoisonError};

use gradus_models::tokenizer::{Tokenizer, WordCache};
use serde_json::Value;

use super::source::{Chunk, Content};
use crate::data::data_error;
use crate::data::splitting::is_validation;
use crate::error::{Result, TrainerError};

/// A tokenizer gets so much text at once, and the rest of the line: its time grows faster than the text.
const AT_ONCE: usize = 16 << 10;

/// How text becomes tokens.
pub struct Encoder {
    tokenizer: Tokenizer,
    /// Before every document.
    prefix: Vec<u32>,
    /// Behind every document.
    end: Option<u32>,
    /// The field of a line of JSON that holds the text.
    field: String,
    /// The share of the documents that is held out; none where it is decided later.
    held_out: Option<f64>,
    /// Those that no thread uses at the moment.
    caches: Mutex<Vec<WordCache>>,
}

/// The tokens of a chunk that go to one part.
#[derive(Debug, Default, PartialEq)]
pub struct Encoded {
    /// The tokens.
    pub tokens: Vec<u32>,
    /// Where documents begin in them.
    pub begins: Vec<usize>,
    /// Bytes of text.
    pub text_bytes: u64,
    /// Bytes that are no UTF-8 and became U+FFFD.
    pub replaced: u64,
}

impl Encoder {
    /// An encoder; see the fields.
    ///
    /// # Errors
    /// A tokenizer that cannot encode.
    pub fn new(tokenizer: Tokenizer, end: Option<u32>, field: String, held_out: Option<f64>) -> Result<Self> {
        Ok(Self { prefix: tokenizer.prefix()?, tokenizer, end, field, held_out, caches: Mutex::default() })
    }

    /// The tokens of a chunk: those to train on, and those held out.
    ///
    /// # Errors
    /// A line that is no JSON or has no text, or text that the tokenizer has no tokens for: says where.
    pub fn encode(&self, chunk: &Chunk) -> Result<[Encoded; 2]> {
        let caches = || self.caches.lock().unwrap_or_else(PoisonError::into_inner);
        let mut cache = caches().pop().unwrap_or_default();
        let encoded = self.encode_with(&mut cache, chunk);
        caches().push(cache);
        encoded
    }

    fn encode_with(&self, cache: &mut WordCache, chunk: &Chunk) -> Result<[Encoded; 2]> {
        let mut parts = [Encoded::default(), Encoded::default()];
        let is_held_out = |name: &str| self.held_out.is_some_and(|fraction| is_validation(name, fraction));
        match chunk.content {
            Content::Text { first, last } => {
                let part = &mut parts[usize::from(is_held_out(&chunk.name))];
                self.document(cache, (&chunk.name, &chunk.bytes), [first, last], part)?;
            }
            Content::Lines(number) => {
                for (number, line) in (number..).zip(chunk.bytes.split(|byte| *byte == b'\n')) {
                    if line.trim_ascii().is_empty() {
                        continue;
                    }
                    let place = format!("{}:{number}", chunk.name);
                    let text = self.text_of(line, &place)?;
                    let part = &mut parts[usize::from(is_held_out(&place))];
                    self.document(cache, (&place, text.as_bytes()), [true, true], part)?;
                }
            }
        }
        Ok(parts)
    }

    fn text_of(&self, line: &[u8], place: &str) -> Result<String> {
        let wrong = |problem: String, hint: &str| data_error(place.as_ref(), &problem, hint);
        let mut value: Value = serde_json::from_slice(line)
            .map_err(|error| wrong(format!("the line is no JSON: {error}"), "repair or remove the line"))?;
        let Value::Object(fields) = &mut value else {
            return Err(wrong("the line is no JSON object".into(), "each line is an object such as {\"text\": \"…\"}"));
        };
        match fields.remove(&self.field) {
            Some(Value::String(text)) => Ok(text),
            Some(_) => Err(wrong(format!("the field `{}` is no text", self.field), "name another with --field")),
            None => {
                let names = fields.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
                let problem = format!("the line has no field `{}`; it has {names}", self.field);
                Err(wrong(problem, "name the field that holds the text with --field"))
            }
        }
    }

    /// Adds a document, or a part of one that is its `first` or `last` or neither.
    fn document(
        &self,
        cache: &mut WordCache,
        (place, bytes): (&str, &[u8]),
        [first, last]: [bool; 2],
        part: &mut Encoded,
    ) -> Result<()> {
        if first {
            part.begins.push(part.tokens.len());
            part.tokens.extend(&self.prefix);
        }
        part.text_bytes += bytes.len() as u64;
        if self.tokenizer.is_bytes() {
            part.tokens.extend(bytes.iter().map(|byte| u32::from(*byte)));
        } else {
            let text = String::from_utf8_lossy(bytes);
            if let Cow::Owned(_) = text {
                part.replaced += bytes.utf8_chunks().map(|chunk| chunk.invalid().len() as u64).sum::<u64>();
            }
            let at = |error: gradus_models::Error| {
                let hint = "a byte-level tokenizer, such as gradus tokenizer train makes, takes every text";
                data_error(place.as_ref(), &error.to_string(), hint)
            };
            for piece in pieces(&text) {
                self.tokenizer.encode_piece_with(cache, piece, &mut part.tokens).map_err(at)?;
            }
        }
        match self.end {
            _ if !last => {}
            Some(end) => part.tokens.push(end),
            // So that the last line of one document and the first of the next are two.
            None if !bytes.ends_with(b"\n") => {
                let newline = self.tokenizer.encode_piece("\n").map_err(TrainerError::from)?;
                part.tokens.extend(newline);
                part.text_bytes += 1;
            }
            None => {}
        }
        Ok(())
    }
}

/// Whole lines of about [`AT_ONCE`] bytes. A piece ends before a line that begins with a word where there is one soon: many
/// tokenizers join white space across lines.
fn pieces(mut text: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    while !text.is_empty() {
        let bytes = text.as_bytes();
        let line_ends = || (AT_ONCE..bytes.len()).filter(|at| bytes[at - 1] == b'\n');
        let before_word = line_ends().take(50).find(|at| !bytes[*at].is_ascii_whitespace());
        let cut = before_word.or_else(|| line_ends().next()).unwrap_or(bytes.len());
        let (piece, rest) = text.split_at(cut);
        pieces.push(piece);
        text = rest;
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(name: &str, content: Content, bytes: &[u8]) -> Chunk {
        Chunk { name: name.into(), content, bytes: bytes.to_vec() }
    }

    fn bytes(held_out: Option<f64>) -> Encoder {
        Encoder::new(Tokenizer::bytes(256), None, "text".into(), held_out).unwrap()
    }

    #[test]
    fn documents_begin_where_they_should() {
        let [train, held_out] =
            bytes(None).encode(&chunk("a", Content::Lines(1), b"{\"text\":\"ab\"}\n\n{\"text\":\"c\\n\"}\n")).unwrap();
        assert_eq!((train.tokens, train.begins, train.text_bytes), (b"ab\nc\n".map(u32::from).to_vec(), vec![0, 3], 5));
        assert_eq!(held_out, Encoded::default());
        let middle = chunk("a", Content::Text { first: false, last: false }, b"x\xff");
        let [train, _] = bytes(None).encode(&middle).unwrap();
        assert_eq!((train.tokens, train.begins), (vec![120, 255], vec![]));
    }

    #[test]
    fn documents_are_held_out_by_their_place() {
        let lines: String = (0..400).map(|i| format!("{{\"text\": \"{i}\"}}\n")).collect();
        let [train, held_out] =
            bytes(Some(0.25)).encode(&chunk("a.jsonl", Content::Lines(1), lines.as_bytes())).unwrap();
        assert_eq!(train.begins.len() + held_out.begins.len(), 400);
        assert!((70..=130).contains(&held_out.begins.len()), "{}", held_out.begins.len());
        assert!(is_validation("a.jsonl:1", 0.25) == (held_out.tokens.first() == Some(&u32::from(b'0'))));
    }

    #[test]
    fn lines_that_are_wrong_are_named() {
        for (line, part) in [
            ("{\"text\": 1}", "a:8: the field `text` is no text"),
            ("{\"txt\": \"\", \"id\": 1}", "a:8: the line has no field `text`; it has id, txt"),
            ("[1]", "a:8: the line is no JSON object"),
            ("{\"text\"", "a:8: the line is no JSON"),
        ] {
            let lines = format!("{{\"text\": \"good\"}}\n{line}\n");
            let error = bytes(None).encode(&chunk("a", Content::Lines(7), lines.as_bytes())).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn pieces_are_the_whole_text_and_end_before_words() {
        let text = "word word\n    indented\n\n".repeat(5000) + "the end";
        let pieces = pieces(&text);
        assert_eq!(pieces.concat(), text);
        assert!(pieces.len() > 6 && pieces[1..].iter().all(|piece| piece.starts_with('w')), "{}", pieces.len());
    }
}
