//! Text cut by a regular expression of a tokenizer, as the `tokenizers` crate cuts it.
//!
//! That crate searches with `fancy-regex`, whose look-ahead makes it go back and forth. Most tokenizers need look-ahead for
//! nothing but the end of GPT-2's expression,
//!
//! ```text
//! …|\s+(?!\S)|\s+
//! ```
//!
//! by which white space before a word leaves its last character to the word. There an automaton finds the same: it takes the white
//! space as a whole, and its last character is given back afterwards.

use regex_automata::meta;
use regex_automata::{Anchored, Input};
use regex_syntax::ast::{self, Ast};

/// How expressions end that the automaton can do: with white space that leaves its last character to what follows.
const END: &str = r"|\s+(?!\S)|\s+";
/// The same without look-ahead; of what matches [`LEAVES_LAST`] the last character is left. One after the other is tried.
const END_PARTS: [&str; 3] = [r"\s+\z", r"\s+\s", r"\s+"];
/// The number of the second of these behind the expression before them.
const LEAVES_LAST: usize = 2;
/// Text of more bytes goes to `fancy-regex`, which gives up after a million steps: here as there.
const LONGEST_QUICK: usize = 1 << 18;

/// A regular expression of a tokenizer.
pub(super) struct Expression {
    exact: fancy_regex::Regex,
    quick: Option<meta::Regex>,
}

/// What the automaton remembers from search to search; each thread has its own.
pub(super) type Memory = Option<meta::Cache>;

impl Expression {
    /// None where `fancy-regex` does not take it.
    pub(super) fn new(pattern: &str) -> Option<Self> {
        let exact = fancy_regex::Regex::new(pattern).ok()?;
        let quick = pattern.strip_suffix(END).filter(|head| means_the_same(head)).and_then(|head| {
            let [all, leaves_last, one] = END_PARTS;
            meta::Regex::new_many(&[head, all, leaves_last, one]).ok()
        });
        Some(Self { exact, quick })
    }

    /// Calls `each` with the matches of the expression and with what is between them, in their order, and whether it is a match.
    /// Ends when `each` returns `false`; returns whether it never did. Parts may be empty.
    pub(super) fn split(&self, memory: &mut Memory, text: &str, each: &mut dyn FnMut(&str, bool) -> bool) -> bool {
        let mut done = 0;
        let mut take = |start: usize, end: usize| {
            // An expression can move the start of its match (`\K`) to before the last one's end.
            let good = start >= done && each(&text[done..start], false) && each(&text[start..end], true);
            done = end;
            good
        };
        let all = match &self.quick {
            Some(quick) if text.len() <= LONGEST_QUICK => {
                let memory = memory.get_or_insert_with(|| quick.create_cache());
                let mut at = 0;
                loop {
                    // Where no word begins is for the crate's own search.
                    let next = match next(quick, memory, text, at) {
                        Some(end) => Some((at, end)),
                        None => {
                            self.exact.find_from_pos(text, at).ok().flatten().map(|word| (word.start(), word.end()))
                        }
                    };
                    let Some((start, end)) = next else { break true };
                    if !take(start, end) {
                        break false;
                    }
                    at = end;
                }
            }
            // The crate ends at an error too, and the rest is one part.
            _ => self.exact.find_iter(text).map_while(Result::ok).all(|word| take(word.start(), word.end())),
        };
        all && each(&text[done..], false)
    }
}

/// Where the word that begins at `at` ends, if one does.
fn next(quick: &meta::Regex, memory: &mut meta::Cache, text: &str, at: usize) -> Option<usize> {
    let found = quick.search_half_with(memory, &Input::new(text).range(at..).anchored(Anchored::Yes))?;
    let end = found.offset();
    let last = || text[..end].chars().next_back().map_or(0, char::len_utf8);
    Some(if found.pattern().as_usize() == LEAVES_LAST { end - last() } else { end })
}

/// Whether an expression without look-around means the same to both crates. `fancy-regex` hands on what has no look-around of its
/// own, but reads a quantifier behind another (`a++`) as one that gives nothing back.
fn means_the_same(head: &str) -> bool {
    let Ok(tree) = ast::parse::Parser::new().parse(head) else { return false };
    // A word has a character: else the search stands still.
    let has_length = regex_syntax::parse(head).is_ok_and(|head| head.properties().minimum_len() > Some(0));
    has_length && ast::visit(&tree, Plain).is_ok()
}

struct Plain;

impl ast::Visitor for Plain {
    type Output = ();
    type Err = ();

    fn finish(self) -> Result<(), ()> {
        Ok(())
    }

    fn visit_pre(&mut self, tree: &Ast) -> Result<(), ()> {
        match tree {
            // Flags of the whole would hold for the end of the expression too.
            Ast::Flags(_) | Ast::Assertion(_) => Err(()),
            Ast::Repetition(repetition) if matches!(*repetition.ast, Ast::Repetition(_)) => Err(()),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;
    use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
    use tokenizers::{OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer, SplitDelimiterBehavior};

    /// Of Llama 3 and GPT-4.
    pub(in super::super) const LLAMA_3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
    /// Of GPT-4o.
    const GPT_4O: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
    /// Of DeepSeek: leaves text between its matches.
    const DEEPSEEK: &str = r##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"##;
    /// Of GPT-4 as `tiktoken` has it, with quantifiers that give nothing back.
    const POSSESSIVE: &str = r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s";

    /// Texts of what expressions tell apart.
    pub(in super::super) fn texts() -> impl Strategy<Value = String> {
        let part = prop_oneof![
            4 => proptest::sample::select(vec![
                " ", "  ", "    ", "\n", "\r\n", "\n\n", "\t", "a", "Word", "word", "'s", "'S", "'ll", "'", "’s", "'ſ", "1", "12",
                "1234", "½", "²", "٣", "!", "...", "/", "({", "é", "e\u{301}", "日本", "ǅ", "🦀", "\u{a0}", "\u{2003}", "\u{2028}",
                "\u{200b}", "\u{feff}", "\u{0}", "<|end|>", "<|en",
            ]).prop_map(str::to_owned),
            1 => any::<char>().prop_map(String::from),
        ];
        proptest::collection::vec(part, 0..24).prop_map(|parts| parts.concat())
    }

    fn ours(expression: &Expression, text: &str) -> Vec<usize> {
        let mut lengths = Vec::new();
        assert!(expression.split(&mut None, text, &mut |part, _| {
            lengths.extend((!part.is_empty()).then_some(part.len()));
            true
        }));
        lengths
    }

    fn crates(pattern: &str) -> Split {
        Split::new(SplitPattern::Regex(pattern.into()), SplitDelimiterBehavior::Isolated, false).unwrap()
    }

    /// The lengths of the parts that the crate finds.
    fn theirs(crates: &Split, text: &str) -> Vec<usize> {
        let mut parts = PreTokenizedString::from(text);
        crates.pre_tokenize(&mut parts).unwrap();
        let parts = parts.get_splits(OffsetReferential::Original, OffsetType::Byte);
        parts.into_iter().map(|(_, (from, to), _)| to - from).filter(|length| *length > 0).collect()
    }

    #[test]
    fn parts_are_those_of_the_crate() {
        let expressions = [
            (LLAMA_3, true),
            (GPT_4O, true),
            (DEEPSEEK, true),
            (r"a|\s+(?!\S)|\s+", true),
            (POSSESSIVE, false),
            (r"\p{N}{1,3}", false),
            (r"(?=a)", false),
            // The automaton would find something else in these, or stand still.
            (r"a++|\s+(?!\S)|\s+", false),
            (r"(?U)a|\s+(?!\S)|\s+", false),
            (r"a?|\s+(?!\S)|\s+", false),
            (r"\ba|\s+(?!\S)|\s+", false),
        ];
        let expressions = expressions.map(|(pattern, is_quick)| {
            let expression = Expression::new(pattern).unwrap();
            assert_eq!(expression.quick.is_some(), is_quick, "{pattern}");
            (pattern, expression, crates(pattern))
        });
        proptest!(|(text in texts())| {
            for (pattern, expression, crates) in &expressions {
                prop_assert_eq!(ours(expression, &text), theirs(crates, &text), "{} of {:?}", pattern, text);
            }
        });
    }

    #[test]
    fn long_texts_have_the_same_parts() {
        let (expression, crates) = (Expression::new(LLAMA_3).unwrap(), crates(LLAMA_3));
        for text in
            [" ".repeat(100_000) + "a", "a ".repeat(LONGEST_QUICK), "\n ".repeat(60_000), " \u{3000}".repeat(50_000)]
        {
            assert_eq!(ours(&expression, &text), theirs(&crates, &text));
        }
        assert!(Expression::new("(").is_none());
    }
}
