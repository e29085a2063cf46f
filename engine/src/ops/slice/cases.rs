//! Cases for the checks: every dimension, parts at both ends and in the middle, empty ones too.

use super::{Concatenate, Slice};
use crate::check::{Case, Draw};

fn sizes(draw: &mut Draw) -> Vec<usize> {
    let rank = draw.number(1..=4);
    let most = (draw.elements as f64).powf(1.0 / rank as f64) as usize;
    (0..rank).map(|_| draw.size(16, most)).collect()
}

/// Slices.
pub(crate) fn draw_slice(draw: &mut Draw) -> Case {
    let sizes = sizes(draw);
    let dimension = draw.number(0..=sizes.len() - 1);
    let start = draw.number(0..=sizes[dimension] - 1);
    let length = draw.number(1..=sizes[dimension] - start);
    Case::new(Slice { dimension, start, length }, vec![draw.normals(&sizes, 0.0, 1.0)])
}

/// Joined tensors.
pub(crate) fn draw_concatenate(draw: &mut Draw) -> Case {
    let mut sizes = sizes(draw);
    let dimension = draw.number(0..=sizes.len() - 1);
    let parts = draw.number(1..=3);
    let inputs = (0..parts).map(|_| {
        sizes[dimension] = draw.number(1..=5);
        draw.normals(&sizes, 0.0, 1.0)
    });
    let inputs = inputs.collect();
    Case::new(Concatenate { dimension }, inputs)
}
