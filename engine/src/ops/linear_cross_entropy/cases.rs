//! Cases for the checks: with and without a cap, ignored rows, all rows ignored, more rows than one block.

use super::{IGNORED, LinearCrossEntropy};
use crate::check::{Case, Draw};

/// Cases of mixed precision: hidden states in f16. On matrix units the weight and the gradients of the logits are rounded to
/// f16: measured on an H100 over 150 cases, 0.29 of what a factor of 4 allows.
pub(crate) fn draw_half(draw: &mut Draw) -> Case {
    let unit = draw.choose(&[1, 4]);
    let mut case = of(draw, unit).with_half_rounding(4.0);
    case.inputs[0] = case.inputs[0].clone().half();
    case
}

/// A case.
pub(crate) fn draw(draw: &mut Draw) -> Case {
    of(draw, 1)
}

/// A case whose sizes are multiples of `unit`.
fn of(draw: &mut Draw, unit: usize) -> Case {
    let depth = unit * draw.size(16, 80 / unit);
    let vocabulary = unit * draw.size(64, (draw.elements / depth / unit).max(1));
    let rows = draw.size(32, (draw.elements / depth.max(vocabulary)).max(1));
    // Logits of some units, in part well over the cap.
    let cap = draw.coin().then(|| draw.choose(&[2.0, 15.0, 30.0]));
    let deviation = draw.choose(&[0.5, 2.0]) / (depth as f64).sqrt();
    let hidden = draw.normals(&[1, rows, depth], 0.1, 1.0);
    let weight = draw.normals(&[vocabulary, depth], 0.0, deviation);
    let mut targets = draw.indices(&[1, rows], vocabulary);
    let ignored = draw.choose(&[0, 0, 4, 1]);
    for target in &mut targets.array.data {
        if ignored > 0 && draw.number(1..=ignored) == 1 {
            *target = f64::from(IGNORED);
        }
    }
    // A gradient is a sum over columns or rows of shares, which are made of a sum over columns and of logits, sums over the
    // depth: their errors add up, so the terms of all three count.
    let (of_hidden, of_weight) = (depth + 2 * vocabulary, depth + vocabulary + rows);
    Case::new(LinearCrossEntropy { cap, gradients: true }, vec![hidden, weight, targets])
        .with_terms(0, of_hidden)
        .with_terms(1, of_weight)
}
