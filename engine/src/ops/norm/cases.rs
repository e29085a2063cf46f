//! Cases for the checks: rows shorter and longer than a workgroup's share, lengths that divide by 4 and that do not, means
//! away from 0, rows so small that ε counts.

use super::{Kind, Norm};
use crate::Precision;
use crate::check::{Case, Draw, Input};

/// Cases of one kind.
pub(crate) fn draw(kind: Kind, draw: &mut Draw) -> Case {
    let (norm, inputs) = parts(kind, draw);
    Case::new(norm, inputs)
}

/// Cases with an f16 result, and an f16 gate if there is one.
pub(crate) fn draw_half(kind: Kind, draw: &mut Draw) -> Case {
    let (norm, mut inputs) = parts(kind, draw);
    let gate = inputs.pop_if(|_| kind.gated()).map(Input::half);
    inputs.extend(gate);
    Case::new(Norm { output: Precision::Half, ..norm }, inputs)
}

fn parts(kind: Kind, draw: &mut Draw) -> (Norm, Vec<Input>) {
    let columns = match draw.number(0..=3) {
        0 => draw.size(256, draw.elements),
        1 => 4 * draw.size(256, draw.elements / 4),
        _ => draw.size(32, draw.elements),
    };
    let heads = match kind {
        Kind::RmsNorm | Kind::LayerNorm => 1,
        Kind::MultiHeadNorm | Kind::MultiHeadNormGated => draw.number(1..=4),
    };
    let tokens = draw.size(16, (draw.elements / (heads * columns)).max(1));
    let mut sizes = if draw.coin() { vec![tokens] } else { vec![1, tokens] };
    let mut gate_sizes = sizes.clone();
    gate_sizes.push(heads * columns);
    if matches!(kind, Kind::MultiHeadNorm | Kind::MultiHeadNormGated) {
        sizes.push(heads);
    }
    sizes.push(columns);
    let mean = draw.choose(&[0.0, 1.5]);
    let x = draw.normals(&sizes, mean, 1.0);
    // In a row of few elements the variance can vanish, and dx is small beside its terms: a large ε keeps both away.
    let epsilon = match columns {
        0..3 => 16.0,
        3..8 => 4.0,
        _ => draw.choose(&[1e-6, 1e-2, 0.5]),
    };
    let weight = draw.normals(&[heads * columns], 1.0, 0.5);
    let mut inputs = vec![x, weight];
    if kind.gated() {
        inputs.push(draw.normals(&gate_sizes, 0.0, 2.0));
    }
    (Norm::new(kind, epsilon), inputs)
}
