//! Which tokens a batch holds: a pure function of the seed and one integer.
//!
//! Each epoch cuts the text into windows of `context` + 1 tokens, one `context` apart, from a
//! start that differs from epoch to epoch, and visits each window once in an order drawn from
//! (seed, epoch). The order is a permutation computed point by point, so that to continue at any
//! position costs nothing and needs no stored state.

use gradus_engine::ops::linear_cross_entropy::IGNORED;

use super::documents::Documents;
use super::sequence::Sequence;

/// Input tokens and the tokens that follow them, both `[batch, context]`, row after row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// What the model sees.
    pub inputs: Vec<u32>,
    /// What it should say: each input's next token, or [`IGNORED`].
    pub targets: Vec<u32>,
    /// For each token the position in its row of the first one of its document, if nothing may be seen beyond.
    pub first: Option<Vec<u32>>,
    /// Number of rows.
    pub batch: usize,
    /// Tokens of a row.
    pub context: usize,
}

impl Batch {
    /// Targets that count in the loss.
    pub fn counted(&self) -> usize {
        self.targets.iter().filter(|target| **target != IGNORED).count()
    }
}

/// The endless sequence of windows over a text. `position` numbers them from 0: with a constant
/// batch, step s takes positions s·batch to (s + 1)·batch − 1.
#[derive(Clone, Debug)]
pub struct Windows {
    tokens: Sequence,
    documents: Option<Documents>,
    context: usize,
    seed: u64,
    count: u64,
}

impl Windows {
    /// Windows of `context` tokens and their next ones; `None` where the text has fewer than
    /// `context` + 1 tokens or `context` is 0.
    pub fn new(tokens: Sequence, context: usize, seed: u64) -> Option<Self> {
        if context == 0 || tokens.len() <= context {
            return None;
        }
        // So many fit from every start below `context`; a text shorter than two windows has one.
        let count = ((tokens.len() - context) / context).max(1) as u64;
        Some(Self { tokens, documents: None, context, seed, count })
    }

    /// The same, whose batches say where documents begin.
    pub fn within(self, documents: Option<Documents>) -> Self {
        Self { documents, ..self }
    }

    /// Windows of one epoch.
    pub fn per_epoch(&self) -> u64 {
        self.count
    }

    /// Offset in the text of the window at a position.
    pub fn offset(&self, position: u64) -> usize {
        let (epoch, index) = (position / self.count, position % self.count);
        let key = mix(self.seed ^ mix(epoch));
        let slack = self.tokens.len() - self.context * self.count as usize;
        let starts = slack.min(self.context) as u64;
        let start = mix(key ^ 0x5743) % starts;
        start as usize + self.context * permuted(index, self.count, key) as usize
    }

    /// The batch of the windows from a position on.
    pub fn batch(&self, position: u64, batch: usize) -> Batch {
        let offsets = (position..position + batch as u64).map(|position| self.offset(position));
        gather((&self.tokens, self.documents.as_ref()), offsets, batch, self.context)
    }
}

/// Evenly spread windows of a text that are the same at every evaluation, with its documents where these are to be apart.
/// `count` of them, or as many as do not overlap if those are fewer; then rounded down to whole batches of `batch`, at least
/// one. `None` where the text has fewer than `context` + 1 tokens.
pub fn evaluation_batches(
    (tokens, documents): (&Sequence, Option<&Documents>),
    context: usize,
    batch: usize,
    count: usize,
) -> Option<Vec<Batch>> {
    let last = tokens.len().checked_sub(context + 1).filter(|_| context > 0)?;
    let apart = last / context + 1;
    let batch = batch.min(apart).max(1);
    let count = (count.min(apart) / batch).max(1) * batch;
    let offset =
        |index: usize| if count == 1 { 0 } else { (index as u128 * last as u128 / (count as u128 - 1)) as usize };
    let text = (tokens, documents);
    let batches =
        (0..count / batch).map(|row| gather(text, (row * batch..(row + 1) * batch).map(offset), batch, context));
    Some(batches.collect())
}

fn gather(
    (tokens, documents): (&Sequence, Option<&Documents>),
    offsets: impl Iterator<Item = usize>,
    batch: usize,
    context: usize,
) -> Batch {
    let mut inputs = Vec::with_capacity(batch * context);
    let mut targets = Vec::with_capacity(batch * context);
    let mut first = documents.map(|_| Vec::with_capacity(batch * context));
    for offset in offsets {
        tokens.read(offset..offset + context, &mut inputs);
        tokens.read(offset + 1..offset + context + 1, &mut targets);
        if let (Some(first), Some(documents)) = (&mut first, documents) {
            let begin = first.len();
            documents.first_of(offset, context + 1, first);
            // What begins another document does not follow from this one.
            for at in 1..=context {
                if first[begin + at] as usize == at {
                    targets[begin + at - 1] = IGNORED;
                }
            }
            first.truncate(begin + context);
        }
    }
    Batch { inputs, targets, first, batch, context }
}

/// A permutation of 0..count, different for every key: four rounds of a Feistel network on the
/// smallest even number of bits that holds `count`, repeated until the result is below `count`.
fn permuted(index: u64, count: u64, key: u64) -> u64 {
    let half = (u64::BITS - (count - 1).leading_zeros()).div_ceil(2).max(1);
    let mask = (1u64 << half) - 1;
    let mut value = index;
    loop {
        let (mut left, mut right) = (value >> half, value & mask);
        for round in 0..4 {
            (left, right) = (right, left ^ (mix(key ^ mix((round << 32) ^ right)) & mask));
        }
        value = (left << half) | right;
        if value < count {
            return value;
        }
    }
}

/// The finaliser of SplitMix64 (Steele, Lea and Flood 2014) after its increment: a bijection that
/// makes any counter look random.
pub(super) fn mix(counter: u64) -> u64 {
    let mut z = counter.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::tokens::Tokens;
    use std::collections::BTreeSet;

    fn counting(length: usize) -> Sequence {
        Tokens::owned((0..length).map(|i| (i % 251) as u8).collect()).into()
    }

    #[test]
    fn an_epoch_visits_each_window_once() {
        for (length, context) in [(2, 1), (17, 16), (31, 16), (33, 16), (1000, 16), (1007, 7), (5000, 1)] {
            let windows = Windows::new(counting(length), context, 3).unwrap();
            let count = windows.per_epoch();
            for epoch in 0..3 {
                let mut offsets: Vec<usize> = (0..count).map(|i| windows.offset(epoch * count + i)).collect();
                assert!(offsets.iter().all(|offset| offset + context < length), "{length} {context}");
                offsets.sort();
                assert!(offsets.windows(2).all(|pair| pair[1] - pair[0] == context), "{length} {context}");
            }
        }
    }

    #[test]
    fn epochs_and_seeds_have_orders_and_starts_of_their_own() {
        let order = |seed, epoch: u64| {
            let windows = Windows::new(counting(100_000), 64, seed).unwrap();
            let count = windows.per_epoch();
            (0..count).map(|i| windows.offset(epoch * count + i)).collect::<Vec<_>>()
        };
        assert_eq!(order(1, 0), order(1, 0));
        let starts: BTreeSet<usize> = (0..20).map(|epoch| order(1, epoch).into_iter().min().unwrap()).collect();
        assert!(starts.len() > 12, "{starts:?}");
        for (seed, epoch) in [(2, 0), (1, 1), (0, 1)] {
            let same = order(1, 0).iter().zip(order(seed, epoch)).filter(|(a, b)| a.abs_diff(*b) < 64).count();
            // Two random permutations share one place on average.
            assert!(same < 8, "{seed} {epoch}: {same}");
        }
        // Neighbours in the text are not neighbours in the order.
        let order = order(1, 0);
        let neighbours = order.windows(2).filter(|pair| pair[0].abs_diff(pair[1]) <= 64).count();
        assert!(neighbours < 12, "{neighbours}");
    }

    #[test]
    fn targets_are_the_next_tokens() {
        let windows = Windows::new(counting(999), 8, 0).unwrap();
        let batch = windows.batch(5, 3);
        assert_eq!((batch.inputs.len(), batch.targets.len()), (24, 24));
        for row in 0..3 {
            let first = windows.offset(5 + row as u64);
            for column in 0..8 {
                assert_eq!(batch.inputs[row * 8 + column], ((first + column) % 251) as u32);
                assert_eq!(batch.targets[row * 8 + column], ((first + column + 1) % 251) as u32);
            }
        }
    }

    #[test]
    fn nothing_follows_from_another_document() {
        let places: Vec<u8> = [0u64, 4, 6, 13].iter().flat_map(|place| place.to_le_bytes()).collect();
        let documents = Documents::new(Tokens::owned(places));
        let tokens = counting(21);
        let batches = evaluation_batches((&tokens, Some(&documents)), 10, 2, 2).unwrap();
        let (out, first) = (IGNORED, batches[0].first.as_ref().unwrap());
        assert_eq!(first[..10], [0, 0, 0, 0, 4, 4, 6, 6, 6, 6]);
        assert_eq!(batches[0].targets[..10], [1, 2, 3, out, 5, out, 7, 8, 9, 10]);
        assert_eq!(first[10..], [0, 0, 0, 3, 3, 3, 3, 3, 3, 3]);
        assert_eq!(batches[0].targets[10..], [11, 12, out, 14, 15, 16, 17, 18, 19, 20]);
        assert_eq!(batches[0].counted(), 17);
        // A document that begins right behind the window.
        let windows = Windows::new(counting(11), 10, 0).unwrap();
        let places: Vec<u8> = [0u64, 10].iter().flat_map(|place| place.to_le_bytes()).collect();
        let batch = windows.within(Some(Documents::new(Tokens::owned(places)))).batch(0, 1);
        assert_eq!((batch.targets[9], batch.counted(), batch.first.unwrap()), (out, 9, vec![0; 10]));
    }

    #[test]
    fn batches_do_not_depend_on_how_they_are_grouped() {
        let windows = Windows::new(counting(999), 8, 7).unwrap();
        let large = windows.batch(100, 6);
        let small: Vec<u32> = (0..3).flat_map(|i| windows.batch(100 + 2 * i, 2).inputs).collect();
        assert_eq!(large.inputs, small);
    }

    #[test]
    fn a_text_that_is_too_short_has_no_windows() {
        assert!(Windows::new(counting(16), 16, 0).is_none());
        assert!(Windows::new(counting(16), 0, 0).is_none());
        assert!(evaluation_batches((&counting(16), None), 16, 1, 1).is_none());
        assert!(evaluation_batches((&counting(0), None), 16, 1, 1).is_none());
    }

    #[test]
    fn evaluation_covers_the_text_in_whole_batches() {
        let tokens = counting(1001);
        let batches = evaluation_batches((&tokens, None), 10, 4, 22).unwrap();
        assert_eq!(batches.len(), 5);
        assert_eq!(batches[0].inputs[0], 0);
        assert_eq!(*batches[4].targets.last().unwrap(), 1000 % 251);
        assert_eq!(batches, evaluation_batches((&tokens, None), 10, 4, 22).unwrap());
        // No more than fit side by side, and never more than there is.
        assert_eq!(evaluation_batches((&tokens, None), 10, 8, 10_000).unwrap().len(), 100 / 8);
        let short = evaluation_batches((&counting(25), None), 10, 8, 64).unwrap();
        assert_eq!((short.len(), short[0].batch), (1, 2));
    }
}
