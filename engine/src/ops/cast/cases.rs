//! Cases for the checks: to f16 and to f32, odd and even counts.

use super::Cast;
use crate::DType;
use crate::check::{Case, Draw, Input};

/// Casts of floats.
pub(crate) fn draw(draw: &mut Draw) -> Case {
    let to = draw.choose(&[DType::F16, DType::F16, DType::F32]);
    Case::new(Cast { to }, vec![numbers(draw)])
}

/// Casts of f16.
pub(crate) fn draw_half(draw: &mut Draw) -> Case {
    Case::new(Cast { to: DType::F32 }, vec![numbers(draw).half()])
}

fn numbers(draw: &mut Draw) -> Input {
    let columns = draw.size(256, draw.elements);
    let rows = draw.size(4, draw.elements / columns);
    let deviation = draw.choose(&[0.1, 1.0, 1000.0]);
    draw.normals(&[rows, columns], 0.0, deviation)
}
