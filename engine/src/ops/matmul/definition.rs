//! C[i, j] = Σ_k op(A)[i, k] · op(B)[k, j]

use super::MatMul;
use crate::definition::{Array, Defined};

pub(super) fn define(operation: MatMul, left: &Array, right: &Array) -> Vec<Defined> {
    let two = |array: &Array| {
        let rank = array.sizes.len();
        (if rank > 1 { array.sizes[rank - 2] } else { 1 }, array.sizes[rank - 1])
    };
    let ((left_rows, left_columns), (right_rows, right_columns)) = (two(left), two(right));
    let (rows, depth) = if operation.transpose_left { (left_columns, left_rows) } else { (left_rows, left_columns) };
    let columns = if operation.transpose_right { right_rows } else { right_columns };
    let leading = left.sizes[..left.sizes.len().saturating_sub(2)].to_vec();
    let batch: usize = leading.iter().product();
    let shared = right.sizes.len() == 2;
    let (mut value, mut magnitude) = (Vec::new(), Vec::new());
    for matrix in 0..batch {
        let a = &left.data[matrix * rows * depth..];
        let b = if shared { &right.data[..] } else { &right.data[matrix * depth * columns..] };
        for i in 0..rows {
            for j in 0..columns {
                let term = |k: usize| {
                    let x = if operation.transpose_left { a[k * rows + i] } else { a[i * depth + k] };
                    let y = if operation.transpose_right { b[j * depth + k] } else { b[k * columns + j] };
                    x * y
                };
                value.push((0..depth).map(term).sum());
                magnitude.push((0..depth).map(|k| term(k).abs()).sum());
            }
        }
    }
    let mut sizes = leading;
    if left.sizes.len() > 1 {
        sizes.push(rows);
    }
    sizes.push(columns);
    vec![Defined { value: Array::new(&sizes, value), magnitude, terms: depth.max(1) }]
}
