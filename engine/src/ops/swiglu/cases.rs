//! Cases for the checks: rows of all sizes, by ones and by fours, gates far on both sides.

use super::SwiGlu;
use crate::check::{Case, Draw, Input};

/// Cases with everything in f16.
pub(crate) fn draw_half(layout: SwiGlu, draw: &mut Draw) -> Case {
    let mut case = self::draw(layout, draw);
    case.inputs = case.inputs.into_iter().map(Input::half).collect();
    case
}

/// Cases of one layout.
pub(crate) fn draw(layout: SwiGlu, draw: &mut Draw) -> Case {
    let columns = if draw.coin() { draw.size(64, draw.elements) } else { 4 * draw.size(16, draw.elements / 4) };
    let rows = draw.size(16, (draw.elements / columns).max(1));
    let inputs = match layout {
        SwiGlu::Separate => {
            vec![draw.normals(&[1, rows, columns], 0.0, 3.0), draw.normals(&[1, rows, columns], 0.0, 1.0)]
        }
        SwiGlu::Packed => vec![draw.normals(&[rows, 2 * columns], 0.0, 3.0)],
    };
    // SiLU's derivative, as there: 0.423 of the bound was measured on lavapipe. The gate is the first input.
    Case::new(layout, inputs).with_slack(0, 2.0)
}
