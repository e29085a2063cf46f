//! Cases for the checks: each reduction, flat and peaked rows, targets that have nearly all of the softmax or nearly none,
//! rows far from 0, ignored rows, all of them ignored.

use super::{CrossEntropy, IGNORED, Reduction};
use crate::check::{Case, Draw};

/// A case.
pub(crate) fn draw(draw: &mut Draw) -> Case {
    let tile = draw.choose(&[8, 64, 256]);
    let vocabulary = draw.size(tile, draw.elements);
    let most = (draw.elements / vocabulary).max(1);
    let rows = match draw.number(0..=2) {
        0 => vec![draw.size(32, most)],
        1 => vec![2, draw.size(16, (most / 2).max(1))],
        _ => vec![2, 1, draw.size(8, (most / 2).max(1))],
    };
    let (mean, deviation) = draw.choose(&[(0.0, 1.0), (0.0, 4.0), (50.0, 1.0), (-50.0, 2.0)]);
    let sizes: Vec<usize> = rows.iter().copied().chain([vocabulary]).collect();
    let mut logits = draw.normals(&sizes, mean, deviation);
    let mut targets = draw.indices(&rows, vocabulary);
    let (ignored, dominant) = (draw.choose(&[0, 0, 4, 1]), draw.coin());
    for (row, target) in targets.array.data.iter_mut().enumerate() {
        if dominant && draw.coin() {
            let place = row * vocabulary + *target as usize;
            logits.array.data[place] = f64::from((logits.array.data[place] + 12.0) as f32);
        }
        if ignored > 0 && draw.number(1..=ignored) == 1 {
            *target = f64::from(IGNORED);
        }
    }
    let reduction = draw.choose(&[Reduction::Mean, Reduction::Sum, Reduction::None]);
    Case::new(CrossEntropy { reduction }, vec![logits, targets])
}
