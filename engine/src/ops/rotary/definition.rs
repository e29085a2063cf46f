//! The rotation as its formula says.

use super::Rotary;
use crate::definition::{Array, Defined};

pub(super) fn define(rotary: &Rotary, x: &Array) -> Vec<Defined> {
    let (sizes, half) = (&x.sizes, x.last() / 2);
    let table = rotary.tables.exact();
    let (mut value, mut magnitude) = (vec![0.0; x.data.len()], vec![0.0; x.data.len()]);
    for batch in 0..sizes[0] {
        for time in 0..sizes[1] {
            for head in 0..sizes[2] {
                for j in 0..half {
                    let row = (rotary.first_row() + time) * 2 * half;
                    let (cosine, sine) = (table[row + j], table[row + half + j]);
                    let (low, high) = (x.offset([batch, time, head, j]), x.offset([batch, time, head, j + half]));
                    let (a, b) = (x.data[low], x.data[high]);
                    value[low] = a * cosine - b * sine;
                    value[high] = b * cosine + a * sine;
                    magnitude[low] = (a * cosine).abs() + (b * sine).abs();
                    magnitude[high] = (b * cosine).abs() + (a * sine).abs();
                }
            }
        }
    }
    // Each of the two products carries the rounding of its table entry besides its own.
    vec![Defined { value: Array::new(sizes, value), magnitude, terms: 4 }]
}
