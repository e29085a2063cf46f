//! Cases for the checks: every dimension of every rank, indices that repeat and that do not, fewer indices than elements and
//! more.

use super::Gather;
use crate::check::{Case, Draw, Input};

/// Sizes of x, and the index's dimension.
fn sizes(draw: &mut Draw) -> (Vec<usize>, usize) {
    let rank = draw.number(1..=5);
    let most = (draw.elements as f64).powf(1.0 / rank as f64) as usize;
    let sizes = (0..rank).map(|_| draw.size(16, most)).collect();
    (sizes, draw.number(0..=rank - 1))
}

/// Indices below `size`, or a quarter of the time below 2 only.
fn indices(draw: &mut Draw, sizes: &[usize], size: usize) -> Input {
    let limit = if draw.number(0..=3) == 0 { size.min(2) } else { size };
    draw.indices(sizes, limit)
}

/// How often the most frequent index of a vector occurs.
fn most(indices: impl Iterator<Item = f64>, size: usize) -> usize {
    let mut counts = vec![0; size];
    indices.for_each(|index| counts[index as usize] += 1);
    counts.into_iter().max().unwrap_or(1)
}

/// A gather.
pub(crate) fn draw_elements(draw: &mut Draw) -> Case {
    let (x, dimension) = sizes(draw);
    let all = draw.coin();
    let mut of_index: Vec<usize> = x.iter().map(|&size| if all { size } else { draw.number(1..=size) }).collect();
    of_index[dimension] = draw.size(16, 2 * x[dimension] + 3);
    let index = indices(draw, &of_index, x[dimension]);
    // A gradient's element has as many terms as the index names it: at most as often as some index occurs along the
    // dimension.
    let (count, inner) = (of_index[dimension], of_index[dimension + 1..].iter().product::<usize>());
    let line = |start: usize| (0..count).map(move |at| start + at * inner);
    let starts = (0..index.array.data.len()).filter(|at| at / inner % count == 0);
    let terms = starts.map(|start| most(line(start).map(|at| index.array.data[at]), x[dimension])).max().unwrap_or(1);
    Case::new(Gather::Elements { dimension }, vec![draw.normals(&x, 0.0, 1.0), index]).with_terms(0, terms)
}

/// An index_select.
pub(crate) fn draw_slices(draw: &mut Draw) -> Case {
    let (x, dimension) = sizes(draw);
    let count = draw.size(16, 2 * x[dimension] + 3);
    let index = indices(draw, &[count], x[dimension]);
    let terms = most(index.array.data.iter().copied(), x[dimension]);
    Case::new(Gather::Slices { dimension }, vec![draw.normals(&x, 0.0, 1.0), index]).with_terms(0, terms)
}
