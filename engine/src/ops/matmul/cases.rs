//! Cases for the checks: every way the operands are stored, leading dimensions that both or one of them have, vectors, a
//! bias or a residual, sizes around the tiles.

use super::MatMul;
use super::sizes::{MOST_LEADING, of};
use crate::check::{Case, Draw, Input};
use crate::{Precision, Shape};

/// A leading size of both operands; one of them may be repeated along it.
fn leading(draw: &mut Draw, most: usize) -> (usize, usize) {
    let size = draw.number(1..=most);
    draw.choose(&[(size, size), (size, size), (size, 1), (1, size)])
}

pub(crate) fn draw(draw: &mut Draw) -> Case {
    let most = (draw.elements as f64).sqrt() as usize;
    let (rows, columns, depth) = (draw.size(32, most), draw.size(32, most), draw.size(16, most));
    let mut operation = MatMul { transpose_left: draw.coin(), transpose_right: draw.coin(), ..Default::default() };
    let matrix =
        |transposed: bool, rows: usize, columns: usize| if transposed { [columns, rows] } else { [rows, columns] };
    let mut left = matrix(operation.transpose_left, rows, depth).to_vec();
    let mut right = matrix(operation.transpose_right, depth, columns).to_vec();
    // One case in eight has a vector on either side.
    match draw.number(0..=15) {
        0 => (operation.transpose_left, left) = (false, vec![depth]),
        1 => (operation.transpose_right, right) = (false, vec![depth]),
        _ => {}
    }
    // Each operand has its own number of leading dimensions, aligned at the last.
    let dimensions: Vec<(usize, usize)> = (0..draw.number(0..=MOST_LEADING)).map(|_| leading(draw, 3)).collect();
    let skipped = if draw.coin() { 0 } else { draw.number(0..=dimensions.len()) };
    let (skipped_left, skipped_right) = if draw.coin() { (skipped, 0) } else { (0, skipped) };
    let prepend =
        |matrix: Vec<usize>, sizes: Vec<usize>| if matrix.len() == 1 { matrix } else { [sizes, matrix].concat() };
    let left = prepend(left, dimensions[skipped_left..].iter().map(|size| size.0).collect());
    let right = prepend(right, dimensions[skipped_right..].iter().map(|size| size.1).collect());
    let columns = if right.len() == 1 { 1 } else { columns };
    let mut inputs = vec![draw.normals(&left, 0.2, 1.0), draw.normals(&right, 0.2, 1.0)];
    match draw.number(0..=4) {
        0 | 1 => inputs.push(draw.normals(&[columns], 0.1, 1.0)),
        2 => inputs.extend(residual(operation, &left, &right).map(|sizes| draw.normals(&sizes, 0.1, 1.0))),
        _ => {}
    }
    // Every gradient is a sum as well: an element of an operand is in as many terms as there are terms for each.
    let terms = terms(operation, &left, &right);
    let case = Case::new(operation, inputs);
    terms.into_iter().enumerate().fold(case, |case, (place, terms)| case.with_terms(place, terms))
}

/// The product's own sizes, if they are those of a matrix.
fn residual(operation: MatMul, left: &[usize], right: &[usize]) -> Option<Vec<usize>> {
    let (left, right) = (Shape::new(left).ok()?, Shape::new(right).ok()?);
    let (_, output) = of(operation, &left, &right).ok()?;
    (output.sizes().len() > 1).then(|| output.sizes().to_vec())
}

/// Cases of mixed precision: f16 on the left, f16 or f32 on the right, an f16 or f32 result, and sizes that matrix units take
/// as well as others.
///
/// On matrix units operands of f32 (a weight, an f32 gradient of the result) are rounded to f16, two a term at most: measured
/// on an H100 over 150 cases, 0.25 of what a factor of 4 allows.
pub(crate) fn draw_half(draw: &mut Draw) -> Case {
    let most = (draw.elements as f64).sqrt() as usize;
    let unit = draw.choose(&[1, 4, 4, 16]);
    let size = |draw: &mut Draw, tile: usize| (draw.size(tile, most / unit.min(most)).max(1)) * unit;
    let (rows, columns, depth) = (size(draw, 32), size(draw, 32), size(draw, 16));
    let operation = MatMul {
        transpose_left: draw.coin(),
        transpose_right: draw.coin(),
        output: draw.choose(&[Precision::Full, Precision::Half]),
    };
    let matrix = |transposed: bool, rows: usize, columns: usize| {
        if transposed { vec![columns, rows] } else { vec![rows, columns] }
    };
    let (mut left, mut right) =
        (matrix(operation.transpose_left, rows, depth), matrix(operation.transpose_right, depth, columns));
    let batch = draw.number(1..=3);
    if draw.coin() {
        left.insert(0, batch);
        if draw.coin() {
            right.insert(0, batch);
        }
    }
    let mut inputs = vec![draw.normals(&left, 0.2, 1.0).half(), draw.normals(&right, 0.2, 1.0)];
    if draw.coin() {
        inputs = inputs.into_iter().map(Input::half).collect();
    }
    if operation.output == Precision::Full {
        match draw.number(0..=3) {
            0 => inputs.push(draw.normals(&[columns], 0.1, 1.0)),
            1 => inputs.extend(residual(operation, &left, &right).map(|sizes| draw.normals(&sizes, 0.1, 1.0))),
            _ => {}
        }
    }
    let terms = terms(operation, &left, &right);
    let case = Case::new(operation, inputs).with_half_rounding(4.0);
    terms.into_iter().enumerate().fold(case, |case, (place, terms)| case.with_terms(place, terms))
}

/// How many terms an element of each operand's gradient has.
fn terms(operation: MatMul, left: &[usize], right: &[usize]) -> [usize; 2] {
    let (Ok(left), Ok(right)) = (Shape::new(left), Shape::new(right)) else { return [1; 2] };
    let Ok((batch, output)) = of(operation, &left, &right) else { return [1; 2] };
    [left, right].map(|operand| output.elements() * batch.depth / operand.elements().max(1))
}
