//! y[i, k] = table[ids[i], k].

use crate::definition::{Array, Defined};

pub(super) fn define(table: &Array, ids: &Array) -> Vec<Defined> {
    let width = table.last();
    let sizes: Vec<usize> = ids.sizes.iter().copied().chain([width]).collect();
    let data = ids.data.iter().flat_map(|&id| (0..width).map(move |k| table.at([id as usize, k]))).collect();
    vec![Defined::elementwise(Array::new(&sizes, data))]
}
