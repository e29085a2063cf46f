//! y = (x − mean(x)) / √(mean((x − mean(x))²) + ε) · w, row by row, times σ(o) with a gate; no mean in RMSNorm.

use super::Norm;
use crate::definition::{Array, Defined};

pub(super) fn define(norm: Norm, inputs: &[Array]) -> Vec<Defined> {
    let (x, weight) = (&inputs[0], &inputs[1]);
    let rows = norm.kind.rows(&x.sizes);
    let width = rows.heads * rows.columns;
    let (mut value, mut magnitude) = (Vec::new(), Vec::new());
    for (row, x) in x.data.chunks(rows.columns.max(1)).enumerate() {
        let mean_of = |term: &dyn Fn(f64) -> f64| x.iter().map(|&x| term(x)).sum::<f64>() / x.len() as f64;
        let mean = if norm.kind.centred() { mean_of(&|x| x) } else { 0.0 };
        let deviation = (mean_of(&|x| (x - mean) * (x - mean)) + norm.epsilon).sqrt();
        let mean_magnitude = if norm.kind.centred() { mean_of(&f64::abs) } else { 0.0 };
        for (column, &x) in x.iter().enumerate() {
            let mut factor = weight.data[row % rows.heads * rows.columns + column] / deviation;
            if norm.kind.gated() {
                factor *= 1.0 / (1.0 + (-inputs[2].data[row * rows.columns + column]).exp());
            }
            value.push((x - mean) * factor);
            magnitude.push((x.abs() + mean_magnitude) * factor.abs());
        }
    }
    let mut sizes = x.sizes.clone();
    if matches!(norm.kind, super::Kind::MultiHeadNorm | super::Kind::MultiHeadNormGated) {
        sizes.truncate(x.sizes.len() - 2);
        sizes.push(width);
    }
    vec![Defined { value: Array::new(&sizes, value), magnitude, terms: rows.columns.max(1) }]
}
