//! l[i] = ln Σⱼ e^xⱼ, loss[i] = l[i] − x_t; the loss as such, summed, or as the mean over the rows that count.

use super::{IGNORED, Reduction};
use crate::definition::{Array, Defined};

/// Both results of a row, and the part of their errors that they share: each exponential is off by 3 + 2|x| units (WGSL) and
/// by the rounding of its argument, passed on with its share of the sum; the sum's logarithm by a unit.
fn row(logits: &[f64], target: Option<usize>) -> ([f64; 2], [f64; 2]) {
    let most = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = logits.iter().map(|x| (x - most).exp()).sum();
    let shared: f64 = logits.iter().map(|x| (x - most).exp() / sum * (1.0 + (x - most).abs())).sum();
    let log_sum = sum.ln();
    let (loss, loss_size) = match target {
        Some(target) => (log_sum + (most - logits[target]), shared + log_sum + (most - logits[target])),
        None => (0.0, 0.0),
    };
    ([loss, most + log_sum], [loss_size, shared + log_sum + most.abs()])
}

pub(super) fn define(reduction: Reduction, logits: &Array, targets: &Array) -> Vec<Defined> {
    let vocabulary = logits.last();
    let target = |&target: &f64| (target != f64::from(IGNORED)).then_some(target as usize);
    let rows: Vec<_> =
        logits.data.chunks(vocabulary).zip(&targets.data).map(|(logits, t)| row(logits, target(t))).collect();
    let defined = |output: usize| Defined {
        value: Array::new(&targets.sizes, rows.iter().map(|(value, _)| value[output]).collect()),
        magnitude: rows.iter().map(|(_, magnitude)| magnitude[output]).collect(),
        terms: vocabulary,
    };
    let (losses, log_sum_exp) = (defined(0), defined(1));
    let kept = targets.data.iter().filter_map(target).count().max(1) as f64;
    let added = |scale: f64| Defined {
        value: Array::new(&[1], vec![losses.value.data.iter().sum::<f64>() / scale]),
        magnitude: vec![losses.magnitude.iter().sum::<f64>() / scale],
        terms: vocabulary.max(rows.len()),
    };
    let loss = match reduction {
        Reduction::Mean => added(kept),
        Reduction::Sum => added(1.0),
        Reduction::None => losses,
    };
    vec![loss, log_sum_exp]
}
