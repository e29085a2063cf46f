//! Cases for the checks: any axes of up to five dimensions, kept or not; long rows and long columns, by ones and by fours.

use super::{Kind, Reduction};
use crate::check::{Case, Draw, Input};

fn sizes(draw: &mut Draw) -> Vec<usize> {
    match draw.number(0..=3) {
        0 => {
            let columns =
                if draw.coin() { draw.size(256, draw.elements) } else { 4 * draw.size(64, draw.elements / 4) };
            vec![draw.size(16, (draw.elements / columns).max(1)), columns]
        }
        1 => {
            let inner = draw.size(32, (draw.elements / 4).max(1));
            let n = draw.size(64, (draw.elements / inner).max(1));
            vec![draw.size(4, (draw.elements / inner / n).max(1)), n, inner]
        }
        _ => {
            let rank = draw.number(1..=5);
            let most = (draw.elements as f64).powf(1.0 / rank as f64) as usize;
            (0..rank).map(|_| draw.size(16, most)).collect()
        }
    }
}

/// Cases of one kind.
pub(crate) fn draw(kind: Kind, draw: &mut Draw) -> Case {
    let sizes = sizes(draw);
    let mut axes: Vec<usize> = (0..sizes.len()).filter(|_| draw.number(0..=2) > 0).collect();
    if draw.coin() {
        axes.reverse();
    }
    let reduction = Reduction { kind, axes, keep: draw.coin() };
    let mut x = draw.normals(&sizes, 0.5, 1.0);
    if kind == Kind::Max {
        lift_largest(&reduction, &mut x);
    }
    Case::new(reduction, vec![x])
}

/// Lifts the largest elements by 0.5, so that no small change makes another one the largest: there the gradient jumps.
fn lift_largest(reduction: &Reduction, x: &mut Input) {
    let array = &x.array;
    let stride = |axis: usize| -> usize { array.sizes[axis + 1..].iter().product() };
    let group = |place: usize| -> usize {
        let kept = (0..array.sizes.len()).filter(|axis| !reduction.axes.contains(axis));
        kept.map(|axis| place / stride(axis) % array.sizes[axis] * stride(axis)).sum()
    };
    let mut largest = std::collections::BTreeMap::new();
    for (place, &value) in array.data.iter().enumerate() {
        let best = largest.entry(group(place)).or_insert(place);
        if value > array.data[*best] {
            *best = place;
        }
    }
    for &place in largest.values() {
        x.array.data[place] = f64::from((x.array.data[place] + 0.5) as f32);
    }
}
