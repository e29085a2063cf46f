//! y = g / (1 + e^−g) · u.

use super::SwiGlu;
use crate::definition::{Array, Defined};

pub(super) fn define(layout: SwiGlu, inputs: &[Array]) -> Vec<Defined> {
    let of = |gate: f64, up: f64| gate / (1.0 + (-gate).exp()) * up;
    let value = match layout {
        SwiGlu::Separate => {
            let pairs = inputs[0].data.iter().zip(&inputs[1].data);
            Array::new(&inputs[0].sizes, pairs.map(|(&gate, &up)| of(gate, up)).collect())
        }
        SwiGlu::Packed => {
            let mut sizes = inputs[0].sizes.clone();
            let half = inputs[0].last() / 2;
            if let Some(last) = sizes.last_mut() {
                *last = half;
            }
            let rows = inputs[0].data.chunks((2 * half).max(1));
            Array::new(&sizes, rows.flat_map(|row| (0..half).map(|at| of(row[at], row[half + at]))).collect())
        }
    };
    vec![Defined::elementwise(value)]
}
