//! y[i] = x[i] / (1 − p), or 0 where element i is dropped.

use super::Dropout;
use crate::definition::{Array, Defined};

pub(super) fn define(dropout: Dropout, x: &Array) -> Vec<Defined> {
    let element = |(i, x): (usize, &f64)| {
        let dropped = dropout.dropped(i as u64 / 4)[i % 4];
        if dropped { 0.0 } else { x / (1.0 - dropout.probability) }
    };
    vec![Defined::elementwise(Array::new(&x.sizes, x.data.iter().enumerate().map(element).collect()))]
}
