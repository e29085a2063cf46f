//! loss[i] = ln Σⱼ e^zⱼ − z_t, and the mean over the rows that are not ignored.

use super::IGNORED;
use crate::definition::{Array, Defined};

/// Each row's loss. Its magnitude: a logit's error is passed on with its share of the softmax, the target's in full, and
/// the largest logit and the loss itself are rounded once.
pub(super) fn rows(cap: Option<f64>, hidden: &Array, weight: &Array, targets: &Array) -> Defined {
    let depth = weight.last();
    let vocabulary = weight.sizes[0];
    let (mut value, mut magnitude) = (Vec::new(), Vec::new());
    for (row, &target) in hidden.data.chunks(depth).zip(&targets.data) {
        if target == f64::from(IGNORED) {
            value.push(0.0);
            magnitude.push(0.0);
            continue;
        }
        let terms = |j: usize| row.iter().zip(&weight.data[j * depth..]).map(|(h, w)| h * w);
        let logits: Vec<f64> = (0..vocabulary)
            .map(|j| terms(j).sum::<f64>())
            .map(|x| cap.map_or(x, |cap| cap * (x / cap).tanh()))
            .collect();
        let sizes: Vec<f64> = (0..vocabulary).map(|j| terms(j).map(f64::abs).sum()).collect();
        let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = logits.iter().map(|z| (z - largest).exp()).sum();
        let target = target as usize;
        let loss = sum.ln() + largest - logits[target];
        let passed: f64 = logits.iter().zip(&sizes).map(|(z, size)| (z - largest).exp() / sum * size).sum();
        value.push(loss);
        magnitude.push(passed + sizes[target] + largest.abs() + loss);
    }
    Defined { value: Array::new(&targets.sizes, value), magnitude, terms: depth.max(vocabulary) }
}

pub(super) fn mean(cap: Option<f64>, hidden: &Array, weight: &Array, targets: &Array) -> Defined {
    let rows = rows(cap, hidden, weight, targets);
    let kept = targets.data.iter().filter(|&&target| target != f64::from(IGNORED)).count().max(1) as f64;
    let mean = |values: &[f64]| values.iter().sum::<f64>() / kept;
    Defined {
        value: Array::new(&[1], vec![mean(&rows.value.data)]),
        magnitude: vec![mean(&rows.magnitude)],
        terms: rows.terms,
    }
}
