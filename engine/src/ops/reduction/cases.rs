//! Cases for the checks: rows of all sizes, by ones and by fours.

use super::Reduction;
use crate::check::{Case, Draw};

/// Cases of one reduction.
pub(crate) fn draw(reduction: Reduction, draw: &mut Draw) -> Case {
    let columns = if draw.coin() { draw.size(256, draw.elements) } else { 4 * draw.size(64, draw.elements / 4) };
    let rows = draw.size(16, (draw.elements / columns).max(1));
    let sizes = if draw.coin() { vec![rows, columns] } else { vec![1, rows, columns] };
    Case::new(reduction, vec![draw.normals(&sizes, 0.5, 1.0)])
}
