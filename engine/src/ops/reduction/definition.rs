//! y = Σ x, divided by the number of terms for a mean; or the largest x.

use super::{Kind, Reduction};
use crate::definition::{Array, Defined};

pub(super) fn define(reduction: &Reduction, x: &Array) -> Vec<Defined> {
    let reduced = |axis: usize| reduction.axes.contains(&axis);
    let count: usize = reduction.axes.iter().map(|&axis| x.sizes[axis]).product();
    let kept: Vec<usize> = (0..x.sizes.len()).map(|axis| if reduced(axis) { 1 } else { x.sizes[axis] }).collect();
    let outputs: usize = kept.iter().product();
    let start = if reduction.kind == Kind::Max { f64::NEG_INFINITY } else { 0.0 };
    let (mut value, mut magnitude) = (vec![start; outputs], vec![0.0; outputs]);
    for (place, &x_value) in x.data.iter().enumerate() {
        let (mut rest, mut stride, mut target) = (place, 1, 0);
        for axis in (0..x.sizes.len()).rev() {
            if !reduced(axis) {
                target += rest % x.sizes[axis] * stride;
                stride *= x.sizes[axis];
            }
            rest /= x.sizes[axis];
        }
        match reduction.kind {
            Kind::Max => value[target] = f64::max(value[target], x_value),
            _ => value[target] += x_value,
        }
        magnitude[target] += x_value.abs();
    }
    if reduction.kind == Kind::Mean {
        value.iter_mut().chain(&mut magnitude).for_each(|x| *x /= count as f64);
    }
    let sizes: Vec<usize> = (0..kept.len()).filter(|&at| reduction.keep || !reduced(at)).map(|at| kept[at]).collect();
    let value = Array::new(&sizes, value);
    match reduction.kind {
        Kind::Max => vec![Defined::elementwise(value)],
        _ => vec![Defined { value, magnitude, terms: count.max(1) }],
    }
}
