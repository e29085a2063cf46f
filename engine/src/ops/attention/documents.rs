//! Documents that follow each other in one sequence: which key each query sees first.

use std::ops::Range;

use super::refused;
use super::sizes::Sizes;
use crate::error::{Error, Result};
use crate::tensor::Tensor;

/// The first keys of packed sequences, for [`attention_documents`](super::attention_documents): every position sees the
/// keys from the start of its own document on.
///
/// `starts` [batch, sequence] tells of each position whether a document starts there; a sequence's first position does so
/// in any case. The result is [batch, sequence], places in the sequence.
///
/// # Errors
/// A number of flags that is no multiple of `sequence`; a sequence that is longer than u32 can count.
pub fn first_keys(starts: &[bool], sequence: usize) -> Result<Vec<u32>> {
    let fits = if sequence == 0 { starts.is_empty() } else { starts.len().is_multiple_of(sequence) };
    if !fits || u32::try_from(sequence).is_err() {
        return Err(refused(format!(
            "first keys: {} flags are no whole sequences of {sequence}, of which 2^32 - 1 at most can be counted",
            starts.len()
        )));
    }
    let mut first = 0;
    let first_of = |(place, &starts): (usize, &bool)| {
        let position = (place % sequence) as u32;
        if starts || position == 0 {
            first = position;
        }
        first
    };
    Ok(starts.iter().enumerate().map(first_of).collect())
}

/// The first key of each query on the CPU, checked.
#[derive(Clone, Copy)]
pub(super) struct FirstKeys<'a> {
    /// [batch, queries]; without documents there are none, and every query sees the keys from the first on.
    keys: Option<&'a [u32]>,
    queries: usize,
}

impl<'a> FirstKeys<'a> {
    /// # Errors
    /// A query whose first key is beyond its own last one: it would see nothing.
    pub(super) fn new(sizes: &Sizes, first_key: Option<&'a Tensor>) -> Result<Self> {
        let &Sizes { queries, .. } = sizes;
        let Some(first_key) = first_key else { return Ok(Self { keys: None, queries }) };
        let keys = first_key.cpu::<u32>("attention")?;
        for (place, &key) in keys.iter().enumerate() {
            let (entry, query) = (place / queries, place % queries);
            let last = query + sizes.offset();
            if key as usize > last {
                return Err(Error::index(
                    "attention",
                    format!(
                        "first_key {key} of query {query} of batch entry {entry} is not below {}, the end of the keys \
                         that this row may see",
                        last + 1
                    ),
                ));
            }
        }
        Ok(Self { keys: Some(keys), queries })
    }

    /// The first key of one query.
    pub(super) fn at(&self, entry: usize, query: usize) -> usize {
        self.keys.map_or(0, |keys| keys[entry * self.queries + query] as usize)
    }

    /// The first key that any of some queries sees; there is one at least.
    pub(super) fn least(&self, entry: usize, queries: Range<usize>) -> usize {
        queries.map(|query| self.at(entry, query)).min().unwrap_or(0)
    }
}
