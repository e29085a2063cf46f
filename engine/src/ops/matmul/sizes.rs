//! Which matrices are multiplied: the shape rule, and the leading dimensions as the kernels walk them.

use super::MatMul;
use crate::Shape;
use crate::error::{Error, Result};
use crate::shape::MAX_DIMENSIONS;

/// The most leading dimensions an operand may have.
pub(super) const MOST_LEADING: usize = MAX_DIMENSIONS - 2;

/// A leading dimension of a batch of products, and which of the three tensors have it. An operand that lacks it is
/// repeated along it; an output that lacks it is the sum along it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Dimension {
    pub size: usize,
    pub left: bool,
    pub right: bool,
    pub output: bool,
}

impl Dimension {
    const ONE: Self = Self { size: 1, left: true, right: true, output: true };

    fn has(&self) -> [bool; 3] {
        [self.left, self.right, self.output]
    }
}

/// A batch of products of `rows` × `depth` with `depth` × `columns` matrices, all contiguous.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Batch {
    pub rows: usize,
    pub columns: usize,
    pub depth: usize,
    /// Outermost first; neighbours differ in who has them, and those that are not needed have size 1.
    pub dimensions: [Dimension; MOST_LEADING],
}

/// One dimension as the kernels walk it: its size, and how many elements further the operands' matrices are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Walk {
    pub size: usize,
    pub left: usize,
    pub right: usize,
}

impl Walk {
    const ONE: Self = Self { size: 1, left: 0, right: 0 };
}

/// The places in the operands of the matrices at `index`, counted over `walks` with the last running fastest.
pub(super) fn places(walks: &[Walk], mut index: usize) -> [usize; 2] {
    let mut places = [0; 2];
    for walk in walks.iter().rev() {
        let at = index % walk.size.max(1);
        index /= walk.size.max(1);
        places[0] += at * walk.left;
        places[1] += at * walk.right;
    }
    places
}

impl Batch {
    /// One product.
    pub fn one(rows: usize, columns: usize, depth: usize) -> Self {
        Self { rows, columns, depth, dimensions: [Dimension::ONE; MOST_LEADING] }
    }

    /// A batch over leading dimensions: neighbours that the same tensors have become one, and a last one that only the left
    /// operand has becomes more rows of it, if it is stored by rows.
    fn new(rows: usize, columns: usize, depth: usize, leading: &[Dimension], left_by_rows: bool) -> Self {
        let mut merged: Vec<Dimension> = Vec::new();
        for dimension in leading.iter().filter(|dimension| dimension.size != 1) {
            match merged.last_mut() {
                Some(last) if last.has() == dimension.has() => last.size *= dimension.size,
                _ => merged.push(*dimension),
            }
        }
        let mut batch = Self::one(rows, columns, depth);
        if left_by_rows && let Some(last) = merged.pop_if(|last| last.left && !last.right) {
            batch.rows *= last.size;
        }
        for (place, dimension) in batch.dimensions.iter_mut().rev().zip(merged.into_iter().rev()) {
            *place = dimension;
        }
        batch
    }

    /// How many matrices the output has.
    pub fn matrices(&self) -> usize {
        self.dimensions.iter().filter(|dimension| dimension.output).map(|dimension| dimension.size).product()
    }

    /// How many products are added up in each matrix of the output.
    pub fn summed(&self) -> usize {
        self.dimensions.iter().filter(|dimension| !dimension.output).map(|dimension| dimension.size).product()
    }

    /// The dimensions of the output, as the operands' matrices follow each other along them, and those that are summed.
    pub fn walks(&self) -> ([Walk; MOST_LEADING], [Walk; 2]) {
        let (mut kept, mut summed) = ([Walk::ONE; MOST_LEADING], [Walk::ONE; 2]);
        let (mut left, mut right) = (self.rows * self.depth, self.depth * self.columns);
        let (mut next_kept, mut next_summed) = (kept.iter_mut().rev(), summed.iter_mut().rev());
        for dimension in self.dimensions.iter().rev().filter(|dimension| dimension.size != 1) {
            let stride = |has: bool, stride: &mut usize| {
                let own = if has { *stride } else { 0 };
                *stride *= if has { dimension.size } else { 1 };
                own
            };
            let walk = Walk {
                size: dimension.size,
                left: stride(dimension.left, &mut left),
                right: stride(dimension.right, &mut right),
            };
            // Of three dimensions at most two are summed, since neighbours that are would be one.
            let place = if dimension.output { next_kept.next() } else { next_summed.next() };
            if let Some(place) = place {
                *place = walk;
            }
        }
        (kept, summed)
    }

    /// The elements of left, right and output.
    pub fn elements(&self) -> [usize; 3] {
        let count = |has: fn(&Dimension) -> bool| {
            self.dimensions.iter().filter(|dimension| has(dimension)).map(|dimension| dimension.size).product::<usize>()
        };
        [
            self.rows * self.depth * count(|dimension| dimension.left),
            self.depth * self.columns * count(|dimension| dimension.right),
            self.rows * self.columns * count(|dimension| dimension.output),
        ]
    }

    /// The same tensors in other roles: the left operand, the right one and the output become those given by their places
    /// (0 left, 1 right, 2 output), of new rows, columns and depth.
    pub fn with_roles(self, [rows, columns, depth]: [usize; 3], [left, right, output]: [usize; 3]) -> Self {
        let dimensions = self.dimensions.map(|dimension| {
            let has = dimension.has();
            Dimension { size: dimension.size, left: has[left], right: has[right], output: has[output] }
        });
        Self { rows, columns, depth, dimensions }
    }
}

/// The batch and the output's shape for operands of these shapes.
pub(super) fn of(operation: MatMul, left: &Shape, right: &Shape) -> Result<(Batch, Shape)> {
    let (a, b) = (left.sizes(), right.sizes());
    let refused = |what: &str| {
        let side =
            |shape: &[usize], transposed: bool| format!("{shape:?}{}", if transposed { " transposed" } else { "" });
        let product = format!("{} · {}", side(a, operation.transpose_left), side(b, operation.transpose_right));
        Error::shape("matmul", format!("{product}: {what}"))
    };
    if a.is_empty() || b.is_empty() {
        return Err(refused("a scalar has no product of matrices"));
    }
    if (a.len() == 1 && operation.transpose_left) || (b.len() == 1 && operation.transpose_right) {
        return Err(refused("a vector has no transpose"));
    }
    let last_two = |shape: &[usize], transposed: bool| {
        let (rows, columns) = (shape[shape.len() - 2], shape[shape.len() - 1]);
        if transposed { (columns, rows) } else { (rows, columns) }
    };
    // A vector is one row on the left, one column on the right.
    let (rows, depth) = if a.len() == 1 { (1, a[0]) } else { last_two(a, operation.transpose_left) };
    let (right_depth, columns) = if b.len() == 1 { (b[0], 1) } else { last_two(b, operation.transpose_right) };
    if depth != right_depth {
        return Err(refused(&format!("the inner sizes {depth} and {right_depth} differ")));
    }
    let leading = |shape: &[usize]| Shape::new(&shape[..shape.len().saturating_sub(2)]);
    let (left_leading, right_leading) = (leading(a)?, leading(b)?);
    let both = Shape::broadcast("matmul", &left_leading, &right_leading)
        .map_err(|_| refused("the leading dimensions do not broadcast"))?;
    let mut sizes = both.sizes().to_vec();
    sizes.extend((a.len() > 1).then_some(rows));
    sizes.extend((b.len() > 1).then_some(columns));
    let output = Shape::new(&sizes).map_err(|error| refused(&error.to_string()))?;
    let padded = |shape: Shape| shape.padded()[MAX_DIMENSIONS - MOST_LEADING..].to_vec();
    let dimensions: Vec<Dimension> = padded(left_leading)
        .into_iter()
        .zip(padded(right_leading))
        .map(|(a, b)| Dimension { size: if a == 1 { b } else { a }, left: a != 1, right: b != 1, output: true })
        .collect();
    Ok((Batch::new(rows, columns, depth, &dimensions, !operation.transpose_left), output))
}
