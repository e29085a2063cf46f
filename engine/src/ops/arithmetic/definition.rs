//! y[i] = a[i] ∘ b[i], with repeated indices where a size is 1.

use super::Arithmetic;
use crate::Shape;
use crate::definition::{Array, Defined};

pub(super) fn define(kind: Arithmetic, a: &Array, b: &Array) -> Vec<Defined> {
    let rank = a.sizes.len().max(b.sizes.len());
    let size = |array: &Array, dimension: usize| {
        (dimension + array.sizes.len()).checked_sub(rank).map_or(1, |at| array.sizes[at])
    };
    let sizes: Vec<usize> = (0..rank).map(|dimension| size(a, dimension).max(size(b, dimension))).collect();
    let count = if (0..rank).any(|d| size(a, d).min(size(b, d)) == 0) { 0 } else { sizes.iter().product() };
    let sizes = if count == 0 { empty(&sizes, a, b, rank) } else { sizes };
    let place = |array: &Array, mut index: usize| {
        let (mut place, mut stride) = (0, 1);
        for dimension in (0..rank).rev() {
            let at = index % sizes[dimension];
            index /= sizes[dimension];
            if size(array, dimension) > 1 {
                place += at * stride;
                stride *= size(array, dimension);
            }
        }
        place
    };
    let (mut value, mut magnitude) = (Vec::new(), Vec::new());
    for index in 0..count {
        let (x, y) = (a.data[place(a, index)], b.data[place(b, index)]);
        let (result, terms) = match kind {
            Arithmetic::Add => (x + y, x.abs() + y.abs()),
            Arithmetic::Subtract => (x - y, x.abs() + y.abs()),
            Arithmetic::Multiply => (x * y, (x * y).abs()),
            Arithmetic::Divide => (x / y, (x / y).abs()),
        };
        value.push(result);
        magnitude.push(terms);
    }
    vec![Defined { value: Array::new(&sizes, value), magnitude, terms: 1 }]
}

/// The broadcast sizes where one of them is 0: an empty dimension meets a 1 or another empty one.
fn empty(sizes: &[usize], a: &Array, b: &Array, rank: usize) -> Vec<usize> {
    let shape = |array: &Array| Shape::new(&array.sizes).map(|shape| shape.padded()).unwrap_or([1; 5]);
    let (a, b) = (shape(a), shape(b));
    let from = a.len() - rank;
    sizes.iter().enumerate().map(|(at, &size)| if a[from + at].min(b[from + at]) == 0 { 0 } else { size }).collect()
}
