//! Texts that are tokens by themselves, such as `<|endoftext|>`: they are cut out before words are looked for.

use regex_automata::meta;
use rustc_hash::FxHashMap;
use tokenizers::normalizer::NormalizedString;
use tokenizers::{AddedToken, Normalizer, NormalizerWrapper, Tokenizer as HuggingFace};

/// The texts that are tokens by themselves.
pub(super) struct AddedTokens {
    /// Looked for in the text as it is.
    raw: Texts,
    /// Looked for in what the normalizer makes of the text between those.
    normalized: Texts,
}

/// A part of a text, in the order of the text.
pub(super) enum Part<'a> {
    /// A token by itself.
    Token(u32),
    /// Text without such tokens, normalized.
    Text(&'a str),
}

/// Texts to look for: of those that begin first, the longest.
struct Texts {
    finder: Option<meta::Regex>,
    /// The token of a text; none where it depends on what is beside it.
    ids: FxHashMap<String, Option<u32>>,
}

impl AddedTokens {
    /// None where the normalizer is more than a form of Unicode (others may drop text, which must not go unseen), or there are too
    /// many tokens.
    pub(super) fn of(tokenizer: &HuggingFace) -> Option<Self> {
        use NormalizerWrapper::{NFC, NFD, NFKC, NFKD};
        if !matches!(tokenizer.get_normalizer(), None | Some(NFC(_) | NFD(_) | NFKC(_) | NFKD(_))) {
            return None;
        }
        let (mut raw, mut with_normalizer) = (FxHashMap::default(), FxHashMap::default());
        for (id, token) in tokenizer.get_added_tokens_decoder() {
            let AddedToken { content, single_word, lstrip, rstrip, .. } = token;
            let id = (!single_word && !lstrip && !rstrip).then_some(id);
            if token.normalized {
                with_normalizer.insert(normalized(tokenizer.get_normalizer(), &content)?, id);
            } else {
                raw.insert(content, id);
            }
        }
        Some(Self { raw: Texts::new(raw)?, normalized: Texts::new(with_normalizer)? })
    }

    /// Calls `each` with the parts of a text. Returns whether they are all: `false` where `each` returned that, or where a token
    /// depends on what is beside it.
    pub(super) fn split(
        &self,
        normalizer: Option<&NormalizerWrapper>,
        text: &str,
        each: &mut dyn FnMut(Part) -> bool,
    ) -> bool {
        self.raw.split(text, &mut |part| match part {
            Part::Token(_) => each(part),
            // No form of Unicode changes ASCII.
            Part::Text(text) if normalizer.is_none() || text.is_ascii() => self.normalized.split(text, each),
            Part::Text(text) => normalized(normalizer, text).is_some_and(|text| self.normalized.split(&text, each)),
        })
    }
}

impl Texts {
    fn new(mut ids: FxHashMap<String, Option<u32>>) -> Option<Self> {
        ids.remove("");
        let mut texts: Vec<&String> = ids.keys().collect();
        // The first that fits is taken.
        texts.sort_unstable_by_key(|text| std::cmp::Reverse(text.len()));
        let any = texts.iter().map(|text| regex_syntax::escape(text)).collect::<Vec<_>>().join("|");
        let finder = if texts.is_empty() { None } else { Some(meta::Regex::new(&any).ok()?) };
        Some(Self { finder, ids })
    }

    fn split(&self, text: &str, each: &mut dyn FnMut(Part) -> bool) -> bool {
        let mut done = 0;
        for found in self.finder.iter().flat_map(|finder| finder.find_iter(text)) {
            let Some(id) = self.ids.get(&text[found.range()]).copied().flatten() else { return false };
            if !each(Part::Text(&text[done..found.start()])) || !each(Part::Token(id)) {
                return false;
            }
            done = found.end();
        }
        each(Part::Text(&text[done..]))
    }
}

/// What the normalizer makes of a text.
fn normalized(normalizer: Option<&NormalizerWrapper>, text: &str) -> Option<String> {
    let mut text = NormalizedString::from(text);
    if let Some(normalizer) = normalizer {
        normalizer.normalize(&mut text).ok()?;
    }
    Some(text.get().to_owned())
}
