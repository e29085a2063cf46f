//! Matrix products on the CPU, through the `gemm` crate.

use rayon::prelude::*;

use super::float::Float;

/// A matrix inside a slice: element (row, column) is at `offset + row · row_stride + column · column_stride`.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// Where element (0, 0) is.
    pub offset: usize,
    /// Elements from one row to the next.
    pub row_stride: usize,
    /// Elements from one column to the next.
    pub column_stride: usize,
}

impl Layout {
    /// A contiguous row-major matrix with `columns` columns.
    pub fn row_major(columns: usize) -> Self {
        Self { offset: 0, row_stride: columns, column_stride: 1 }
    }

    /// The same memory read as the transposed matrix.
    pub fn transposed(self) -> Self {
        Self { offset: self.offset, row_stride: self.column_stride, column_stride: self.row_stride }
    }

    /// The matrix that starts `elements` later.
    pub fn at(self, elements: usize) -> Self {
        Self { offset: self.offset + elements, ..self }
    }

    /// The index after the last element of a `rows` × `columns` matrix.
    fn end(self, rows: usize, columns: usize) -> usize {
        self.offset + (rows - 1) * self.row_stride + (columns - 1) * self.column_stride + 1
    }
}

/// The sizes of a product: `rows` × `depth` times `depth` × `columns`.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// Rows of the left matrix and of the result.
    pub rows: usize,
    /// Columns of the right matrix and of the result.
    pub columns: usize,
    /// Columns of the left matrix and rows of the right.
    pub depth: usize,
}

/// `output = alpha · left · right + beta · output`, on this thread. With `beta` zero, the old output is not read.
///
/// # Panics
/// If a layout reaches beyond its slice.
pub fn product<T: Float>(
    sizes: Sizes,
    alpha: T,
    left: (&[T], Layout),
    right: (&[T], Layout),
    beta: T,
    output: (&mut [T], Layout),
) {
    let Sizes { rows, columns, depth } = sizes;
    if rows == 0 || columns == 0 {
        return;
    }
    assert!(output.1.end(rows, columns) <= output.0.len(), "product: output of {sizes:?} reaches beyond its memory");
    if depth > 0 {
        assert!(left.1.end(rows, depth) <= left.0.len(), "product: left of {sizes:?} reaches beyond its memory");
        assert!(right.1.end(depth, columns) <= right.0.len(), "product: right of {sizes:?} reaches beyond its memory");
    }
    let pointer = output.0.as_mut_ptr();
    // SAFETY: the asserts above keep every element that is read or written inside the slices, and `output` is borrowed
    // mutably.
    unsafe { product_unchecked(sizes, alpha, left, right, beta, pointer, output.1) }
}

/// [`product`] that several threads may call on disjoint parts of one output.
///
/// # Safety
/// The layouts must stay inside the slices and inside the memory at `output`, and nobody else may touch the output's
/// elements meanwhile.
unsafe fn product_unchecked<T: Float>(
    sizes: Sizes,
    alpha: T,
    left: (&[T], Layout),
    right: (&[T], Layout),
    beta: T,
    output: *mut T,
    layout: Layout,
) {
    let read_output = beta != T::ZERO;
    // The crate's names: destination = alpha·destination + beta·left·right.
    // SAFETY: as this function's own contract says.
    unsafe {
        gemm::gemm(
            sizes.rows,
            sizes.columns,
            sizes.depth,
            output.add(layout.offset),
            layout.column_stride as isize,
            layout.row_stride as isize,
            read_output,
            left.0.as_ptr().wrapping_add(left.1.offset),
            left.1.column_stride as isize,
            left.1.row_stride as isize,
            right.0.as_ptr().wrapping_add(right.1.offset),
            right.1.column_stride as isize,
            right.1.row_stride as isize,
            beta,
            alpha,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

/// A pointer that may be sent to threads which write disjoint parts behind it.
struct Shared<T>(*mut T);
// SAFETY: each thread writes its own part only, as `product_parallel` cuts them.
unsafe impl<T: Send> Sync for Shared<T> {}

/// Multiply-adds below which a product stays on one thread.
const WORTH_THREADS: usize = 1 << 18;
/// The most blocks along the longer side of the output.
const MOST_BLOCKS: usize = 16;
/// Rows or columns a block at least: thinner ones would spend their time packing.
const THINNEST_BLOCK: usize = 32;

/// [`product`] on all threads. The output is cut along its longer side into blocks that depend on the sizes alone, and
/// each is computed by one thread, so the result does not depend on how many threads there are.
///
/// # Panics
/// If a layout reaches beyond its slice.
pub fn product_parallel<T: Float>(
    sizes: Sizes,
    alpha: T,
    left: (&[T], Layout),
    right: (&[T], Layout),
    beta: T,
    output: (&mut [T], Layout),
) {
    let Sizes { rows, columns, depth } = sizes;
    let along_rows = rows >= columns;
    let long = rows.max(columns);
    let block = long.div_ceil(MOST_BLOCKS).next_multiple_of(THINNEST_BLOCK);
    let blocks = long.div_ceil(block);
    if rows * columns * depth < WORTH_THREADS || blocks < 2 {
        return product(sizes, alpha, left, right, beta, output);
    }
    assert!(output.1.end(rows, columns) <= output.0.len(), "product: output of {sizes:?} reaches beyond its memory");
    assert!(left.1.end(rows, depth) <= left.0.len(), "product: left of {sizes:?} reaches beyond its memory");
    assert!(right.1.end(depth, columns) <= right.0.len(), "product: right of {sizes:?} reaches beyond its memory");
    let shared = Shared(output.0.as_mut_ptr());
    let layout = output.1;
    (0..blocks).into_par_iter().for_each(|index| {
        let shared = &shared;
        let first = index * block;
        let length = block.min(long - first);
        // SAFETY: the asserts above hold for the whole; blocks are disjoint rows or columns of it.
        unsafe {
            if along_rows {
                let part = Sizes { rows: length, ..sizes };
                let left = (left.0, left.1.at(first * left.1.row_stride));
                product_unchecked(part, alpha, left, right, beta, shared.0, layout.at(first * layout.row_stride));
            } else {
                let part = Sizes { columns: length, ..sizes };
                let right = (right.0, right.1.at(first * right.1.column_stride));
                product_unchecked(part, alpha, left, right, beta, shared.0, layout.at(first * layout.column_stride));
            }
        }
    });
}
