//! Text cut into words by the steps of a tokenizer's `pre_tokenizer`, as the `tokenizers` crate does it.

use std::borrow::Cow;

use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{PreTokenizerWrapper, SplitDelimiterBehavior};

use super::expression::{Expression, Memory};
use super::words::Words;

/// Cuts text into the words of a byte-level BPE.
pub(super) struct Splitting {
    /// One after the other, each cuts what the ones before left whole.
    steps: Vec<Step>,
    last: ByteLevel,
}

enum Step {
    Expression {
        expression: Expression,
        /// Whether the crate drops what is between the matches.
        drops: bool,
    },
    /// Numbers by themselves, or each of their characters.
    Digits { individual: bool },
}

/// What the steps remember from text to text; each thread has its own.
#[derive(Debug, Default)]
pub(super) struct Memories(Vec<Memory>);

impl Splitting {
    /// None where a step is not known, or the last is not the one that turns characters into bytes.
    pub(super) fn of(pre_tokenizer: &PreTokenizerWrapper) -> Option<Self> {
        let steps = match pre_tokenizer {
            PreTokenizerWrapper::Sequence(steps) => steps.as_ref(),
            one => std::slice::from_ref(one),
        };
        let (PreTokenizerWrapper::ByteLevel(last), steps) = steps.split_last()? else { return None };
        // The tables of Unicode that GPT-2's words are cut with.
        Words::new("")?;
        let steps = steps.iter().map(Step::of).collect::<Option<_>>()?;
        Some(Self { steps, last: *last })
    }

    /// Calls `each` with the words, in their order. Returns whether they are all: `false` where `each` returned that, or where the
    /// crate would drop a part.
    pub(super) fn split(&self, memories: &mut Memories, text: &str, each: &mut dyn FnMut(&str) -> bool) -> bool {
        memories.0.resize_with(self.steps.len(), Memory::default);
        self.split_from(&self.steps, &mut memories.0, text, each)
    }

    fn split_from(
        &self,
        steps: &[Step],
        memories: &mut [Memory],
        text: &str,
        each: &mut dyn FnMut(&str) -> bool,
    ) -> bool {
        if text.is_empty() {
            return true;
        }
        let (Some((step, steps)), Some((memory, memories))) = (steps.split_first(), memories.split_first_mut()) else {
            return self.words(text, each);
        };
        match step {
            Step::Expression { expression, drops } => expression.split(memory, text, &mut |part, is_match| {
                let dropped = *drops && !is_match && !part.is_empty();
                !dropped && self.split_from(steps, memories, part, each)
            }),
            Step::Digits { individual } => {
                let same = |before: char, after: char| {
                    before.is_numeric() == after.is_numeric() && !(*individual && after.is_numeric())
                };
                runs(text, same).all(|part| self.split_from(steps, memories, part, each))
            }
        }
    }

    /// The last step.
    fn words(&self, text: &str, each: &mut dyn FnMut(&str) -> bool) -> bool {
        let lacks_space = self.last.add_prefix_space && !text.starts_with(' ');
        let text = if lacks_space { Cow::from(format!(" {text}")) } else { text.into() };
        match Words::new(&text).filter(|_| self.last.use_regex) {
            Some(mut words) => words.all(each),
            None => each(&text),
        }
    }
}

impl Step {
    fn of(step: &PreTokenizerWrapper) -> Option<Self> {
        match step {
            PreTokenizerWrapper::Split(split) => Self::of_split(split),
            PreTokenizerWrapper::Digits(digits) => Some(Self::Digits { individual: digits.individual_digits }),
            _ => None,
        }
    }

    fn of_split(split: &Split) -> Option<Self> {
        let expression = match &split.pattern {
            SplitPattern::String(text) => Expression::new(&regex_syntax::escape(text)),
            SplitPattern::Regex(pattern) => Expression::new(pattern),
        }?;
        let drops = match (split.behavior, split.invert) {
            (SplitDelimiterBehavior::Isolated, _) => false,
            // The matches are what is kept.
            (SplitDelimiterBehavior::Removed, true) => true,
            _ => return None,
        };
        Some(Self::Expression { expression, drops })
    }
}

/// The longest parts of a text of which every two characters beside one another are the `same`.
fn runs(mut text: &str, same: impl Fn(char, char) -> bool) -> impl Iterator<Item = &str> {
    std::iter::from_fn(move || {
        let borders = text.char_indices().zip(text.char_indices().skip(1));
        let mut borders = borders.filter(|((_, before), (_, after))| !same(*before, *after));
        let end = borders.next().map_or(text.len(), |(_, (at, _))| at);
        let (run, rest) = text.split_at(end);
        text = rest;
        (!run.is_empty()).then_some(run)
    })
}
