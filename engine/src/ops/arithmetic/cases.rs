//! Cases for the checks: equal shapes, every kind of broadcasting, one element, none.

use super::Arithmetic;
use crate::check::{Case, Draw};

/// Sums of f32 and f16 in either order, and of two f16.
pub(crate) fn draw_half(draw: &mut Draw) -> Case {
    let mut case = self::draw(Arithmetic::Add, draw);
    let halves = draw.choose(&[[true, false], [false, true], [false, true], [true, true]]);
    for (input, half) in case.inputs.iter_mut().zip(halves) {
        if half {
            *input = input.clone().half();
        }
    }
    case
}

/// Cases of one of the four.
pub(crate) fn draw(kind: Arithmetic, draw: &mut Draw) -> Case {
    let rank = draw.number(1..=5);
    let most = (draw.elements as f64).powf(1.0 / rank as f64) as usize;
    let full: Vec<usize> = (0..rank).map(|_| draw.size(16, most)).collect();
    let mut sizes = || {
        let skipped = if draw.coin() { 0 } else { draw.number(0..=rank - 1) };
        full[skipped..].iter().map(|&size| if draw.number(0..=3) == 0 { 1 } else { size }).collect::<Vec<_>>()
    };
    let (a, b) = (sizes(), sizes());
    let a = draw.normals(&a, 0.0, 2.0);
    // Divisors stay away from 0, where the quotient's derivative has no bound.
    let mut b = draw.normals(&b, 0.0, 1.0);
    for x in &mut b.array.data {
        *x = f64::from((*x + x.signum() * 0.5) as f32);
    }
    Case::new(kind, vec![a, b])
}
