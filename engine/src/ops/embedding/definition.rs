//! y[i, k] = table[ids[i], k].

use crate::definition::{Array, Defined};

pub(super) fn define(table: &Array, ids: &Array) -> Vec<Defined> {
    let width = table.last();
    let sizes: Vec<usize> = ids.sizes.iter().copied().chain([width]).collect();
    let data = ids.data.iter().flat_map(|&id| (0..width).map(move |k| table.at([id as usize, k]))).collect();
    // The gradient of a row sums over the places of its id: the most of any id.
    let mut counts = vec![0; table.sizes[0]];
    ids.data.iter().for_each(|&id| counts[id as usize] += 1);
    let terms = counts.into_iter().max().unwrap_or(0).max(1);
    vec![Defined { terms, ..Defined::elementwise(Array::new(&sizes, data)) }]
}
