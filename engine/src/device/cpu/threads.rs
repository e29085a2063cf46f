//! Work on several threads that gives the same bits whatever their number.
//!
//! Work is cut into blocks whose borders depend on the sizes alone. Each block writes its own part of the output, and
//! sums over blocks are added in the order of the blocks.

use rayon::prelude::*;

/// Operations below this many elementary steps are not worth waking another thread for.
const WORTH_A_THREAD: usize = 32 * 1024;
/// The most blocks a piece of work is cut into: enough for many cores to share evenly.
const MOST_BLOCKS: usize = 64;

/// Rows a block, for `rows` rows of which each costs `cost` elementary steps.
pub fn rows_per_block(rows: usize, cost: usize) -> usize {
    let worth = WORTH_A_THREAD.div_ceil(cost.max(1));
    worth.max(rows.div_ceil(MOST_BLOCKS)).max(1)
}

/// Runs `body(block, rows)` for every block of rows and returns the results in the order of the blocks.
/// Use it for partial sums: add what it returns from first to last.
pub fn map_blocks<R: Send>(rows: usize, cost: usize, body: impl Fn(std::ops::Range<usize>) -> R + Sync) -> Vec<R> {
    let block = rows_per_block(rows, cost);
    let range = |index: usize| index * block..((index + 1) * block).min(rows);
    let blocks = rows.div_ceil(block);
    if blocks <= 1 {
        return (0..blocks).map(|index| body(range(index))).collect();
    }
    (0..blocks).into_par_iter().map(|index| body(range(index))).collect()
}

/// Cuts `output` into blocks of whole rows of `width` elements and runs `body(first_row, block)` on each.
/// `cost` is the elementary steps of one row.
pub fn for_rows<T: Send>(output: &mut [T], width: usize, cost: usize, body: impl Fn(usize, &mut [T]) + Sync) {
    if output.is_empty() || width == 0 {
        return;
    }
    let block = rows_per_block(output.len() / width, cost);
    if output.len() <= block * width {
        return body(0, output);
    }
    output.par_chunks_mut(block * width).enumerate().for_each(|(index, chunk)| body(index * block, chunk));
}

/// The same over two outputs whose rows belong together.
pub fn for_rows2<T: Send, U: Send>(
    first: (&mut [T], usize),
    second: (&mut [U], usize),
    cost: usize,
    body: impl Fn(usize, &mut [T], &mut [U]) + Sync,
) {
    let ((first, first_width), (second, second_width)) = (first, second);
    if first.is_empty() || first_width == 0 {
        return;
    }
    let block = rows_per_block(first.len() / first_width, cost);
    if first.len() <= block * first_width {
        return body(0, first, second);
    }
    first
        .par_chunks_mut(block * first_width)
        .zip(second.par_chunks_mut((block * second_width).max(1)))
        .enumerate()
        .for_each(|(index, (a, b))| body(index * block, a, b));
}

/// Runs `body(index, item)` for each item, one task an item; for work whose items are large and few.
pub fn for_items<T: Send>(items: Vec<T>, worth_threads: bool, body: impl Fn(usize, T) + Sync) {
    if worth_threads {
        items.into_par_iter().enumerate().for_each(|(index, item)| body(index, item));
    } else {
        items.into_iter().enumerate().for_each(|(index, item)| body(index, item));
    }
}
