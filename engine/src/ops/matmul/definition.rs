//! C[.., i, j] = Σ_k op(A)[.., i, k] · op(B)[.., k, j] + bias[j], or + residual[.., i, j]

use super::MatMul;
use crate::definition::{Array, Defined};

/// An operand as a batch of matrices: leading sizes, rows, columns.
fn split(sizes: &[usize], vector_is_a_row: bool) -> (Vec<usize>, usize, usize) {
    match sizes {
        [leading @ .., rows, columns] => (leading.to_vec(), *rows, *columns),
        [size] if vector_is_a_row => (vec![], 1, *size),
        _ => (vec![], sizes.iter().product(), 1),
    }
}

pub(super) fn define(operation: MatMul, left: &Array, right: &Array, third: Option<&Array>) -> Vec<Defined> {
    let (left_leading, left_rows, left_columns) = split(&left.sizes, true);
    let (right_leading, right_rows, right_columns) = split(&right.sizes, false);
    let (rows, depth) = if operation.transpose_left { (left_columns, left_rows) } else { (left_rows, left_columns) };
    let columns = if operation.transpose_right { right_rows } else { right_columns };
    let rank = left_leading.len().max(right_leading.len());
    // Leading sizes are aligned at the last; a size of 1 is repeated.
    let size = |leading: &[usize], at: usize| (at + leading.len()).checked_sub(rank).map_or(1, |at| leading[at]);
    let leading: Vec<usize> = (0..rank)
        .map(|at| match (size(&left_leading, at), size(&right_leading, at)) {
            (1, b) => b,
            (a, _) => a,
        })
        .collect();
    let matrix = |of: &[usize], index: &[usize]| {
        (0..rank).fold(0, |flat, at| {
            let size = size(of, at);
            flat * size + if size == 1 { 0 } else { index[at] }
        })
    };
    let mut sizes = leading.clone();
    sizes.extend((left.sizes.len() > 1).then_some(rows));
    sizes.extend((right.sizes.len() > 1).then_some(columns));
    let residual = third.is_some_and(|third| third.sizes.len() > 1 && third.sizes == sizes);
    let (mut value, mut magnitude) = (Vec::new(), Vec::new());
    for flat in 0..leading.iter().product() {
        let (mut index, mut rest) = (vec![0; rank], flat);
        for at in (0..rank).rev() {
            index[at] = rest % leading[at];
            rest /= leading[at];
        }
        let a = &left.data[matrix(&left_leading, &index) * rows * depth..];
        let b = &right.data[matrix(&right_leading, &index) * depth * columns..];
        for i in 0..rows {
            for j in 0..columns {
                let term = |k: usize| {
                    let x = if operation.transpose_left { a[k * rows + i] } else { a[i * depth + k] };
                    let y = if operation.transpose_right { b[j * depth + k] } else { b[k * columns + j] };
                    x * y
                };
                let place = if residual { value.len() } else { j };
                let added = third.map_or(0.0, |third| third.data[place]);
                value.push((0..depth).map(term).sum::<f64>() + added);
                magnitude.push((0..depth).map(|k| term(k).abs()).sum::<f64>() + added.abs());
            }
        }
    }
    vec![Defined { value: Array::new(&sizes, value), magnitude, terms: depth.max(1) }]
}
