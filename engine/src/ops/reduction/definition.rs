//! y = Σ x, divided by the number of terms for a mean.

use super::Reduction;
use crate::definition::{Array, Defined};

pub(super) fn define(reduction: Reduction, x: &Array) -> Vec<Defined> {
    let (rows, columns) = (x.sizes[..x.sizes.len() - 1].iter().product(), x.last());
    let factor = reduction.factor(columns);
    let of = |term: fn(f64) -> f64| -> Vec<f64> {
        let row = |row: usize| x.data[row * columns..][..columns].iter().map(|&x| term(x)).sum::<f64>() * factor;
        (0..rows).map(row).collect()
    };
    let sizes = [&x.sizes[..x.sizes.len() - 1], &[1]].concat();
    vec![Defined { value: Array::new(&sizes, of(|x| x)), magnitude: of(f64::abs), terms: columns.max(1) }]
}
