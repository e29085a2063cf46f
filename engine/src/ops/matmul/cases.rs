//! Cases for the checks: every way the operands are stored, one matrix or a batch, sizes around the tiles.

use super::MatMul;
use crate::check::{Case, Draw};

pub(crate) fn draw(draw: &mut Draw) -> Case {
    let most = (draw.elements as f64).sqrt() as usize;
    let (rows, columns, depth) = (draw.size(32, most), draw.size(32, most), draw.size(16, most));
    let operation = MatMul { transpose_left: draw.coin(), transpose_right: draw.coin() };
    let batch = draw.number(1..=3);
    let shared = draw.coin();
    let stored = |batched: bool, transposed: bool, rows: usize, columns: usize| {
        let matrix = if transposed { [columns, rows] } else { [rows, columns] };
        if batched { vec![batch, matrix[0], matrix[1]] } else { matrix.to_vec() }
    };
    let left = stored(!(shared && operation.transpose_left), operation.transpose_left, rows, depth);
    let right = stored(!shared, operation.transpose_right, depth, columns);
    let inputs = vec![draw.normals(&left, 0.2, 1.0), draw.normals(&right, 0.2, 1.0)];
    Case::new(operation, inputs)
}
