//! Cases for the checks: few rows hit often, many rows hit seldom, one row alone.

use super::Embedding;
use crate::check::{Case, Draw};

/// A case.
pub(crate) fn draw(draw: &mut Draw) -> Case {
    let width = draw.size(32, draw.elements);
    let vocabulary = draw.size(64, (draw.elements / width).max(1));
    let most = (draw.elements / width).max(1);
    let sizes = match draw.number(0..=2) {
        0 => vec![draw.size(256, most)],
        1 => vec![2, draw.size(32, (most / 2).max(1))],
        _ => vec![2, 1, draw.size(32, (most / 2).max(1))],
    };
    // A quarter of the cases repeat the same few ids, as text does.
    let limit = if draw.number(0..=3) == 0 { vocabulary.min(2) } else { vocabulary };
    let table = draw.normals(&[vocabulary, width], 0.0, 1.0);
    let ids = draw.indices(&sizes, limit);
    // A row of the gradient has as many terms as its id occurs; the average over all rows says nothing of frequent ones.
    let mut counts = vec![0; vocabulary];
    ids.array.data.iter().for_each(|&id| counts[id as usize] += 1);
    let most = counts.into_iter().max().unwrap_or(1);
    Case::new(Embedding, vec![table, ids]).with_terms(0, most)
}
