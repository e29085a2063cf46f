//! Cases for the checks: dimensions split, joined and inserted.

use super::Reshape;
use crate::check::{Case, Draw};

/// Random shapes of equal product.
pub(crate) fn draw(draw: &mut Draw) -> Case {
    let (rows, columns) = (draw.size(4, 16), draw.size(16, (draw.elements / 32).max(1)));
    let x = draw.normals(&[rows, 2, columns], 0.0, 1.0);
    let to = match draw.number(0..=3) {
        0 => vec![rows * 2 * columns],
        1 => vec![rows, 2 * columns],
        2 => vec![rows * 2, columns],
        _ => vec![columns, 1, 2, rows],
    };
    Case::new(Reshape { to }, vec![x])
}
