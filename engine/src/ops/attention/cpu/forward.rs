//! The forward: each task takes one block of query rows of one batch entry, for all heads or, where there is one query
//! only, for one head.

use rayon::prelude::*;

use super::rows::softmax;
use super::{BLOCK, FirstKeys, Sizes, score_stride};
use crate::device::Cpu;
use crate::device::cpu::float::{Float, vectorized};
use crate::device::cpu::gemm::{self, Layout, product};
use crate::error::Result;
use crate::tensor::Tensor;

/// Multiply-adds below which nobody else is woken.
const WORTH_THREADS: f64 = 100_000.0;

pub(super) fn forward<T: Float>(sizes: &Sizes, cpu: &Cpu, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
    let [query, key, value] =
        [inputs[0].cpu::<T>("attention")?, inputs[1].cpu::<T>("attention")?, inputs[2].cpu::<T>("attention")?];
    let first_keys = FirstKeys::new(sizes, inputs.get(3).copied())?;
    let &Sizes { batch, queries, heads, head_dim, .. } = sizes;
    // A single query's heads follow each other in memory, so they can be tasks of their own.
    let heads_a_task = if queries == 1 { 1 } else { heads };
    let blocks = queries.div_ceil(BLOCK);
    // (m, z) by row first: a task's part is contiguous then.
    let mut by_row = vec![[T::ZERO; 2]; batch * queries * heads];
    let output = Tensor::on_cpu(cpu, &[batch, queries, heads, head_dim], |output: &mut [T]| {
        let mut tasks = Vec::with_capacity(batch * blocks * heads / heads_a_task.max(1));
        let (mut output, mut normalizers) = (output, &mut by_row[..]);
        for entry in 0..batch {
            for first in (0..queries).step_by(BLOCK) {
                let rows = BLOCK.min(queries - first);
                for head in (0..heads).step_by(heads_a_task.max(1)) {
                    let (own, rest) = output.split_at_mut(rows * heads_a_task * head_dim);
                    let (of_task, others) = normalizers.split_at_mut(rows * heads_a_task);
                    (output, normalizers) = (rest, others);
                    let heads = heads_a_task;
                    tasks.push(Task { entry, first, rows, head, heads, output: own, normalizers: of_task });
                }
            }
        }
        let run = |task: Task<T>| task.run(sizes, cpu, [query, key, value], first_keys);
        if sizes.pairs() * head_dim as f64 > WORTH_THREADS {
            // Later blocks see more keys: they are begun first, so that no long one is left at the end.
            tasks.into_par_iter().rev().for_each(run);
        } else {
            tasks.into_iter().for_each(run);
        }
    })?;
    let normalizers = Tensor::on_cpu(cpu, &[batch, heads, queries, 2], |normalizers: &mut [T]| {
        for (row, normalizers) in normalizers.chunks_mut((2 * queries).max(1)).enumerate() {
            let (entry, head) = (row / heads, row % heads);
            for (time, pair) in normalizers.chunks_mut(2).enumerate() {
                pair.copy_from_slice(&by_row[(entry * queries + time) * heads + head]);
            }
        }
    })?;
    Ok(vec![output, normalizers])
}

/// Rows `first..first + rows` of batch entry `entry` for some heads, with the output's part for them.
struct Task<'a, T> {
    entry: usize,
    first: usize,
    rows: usize,
    head: usize,
    heads: usize,
    output: &'a mut [T],
    normalizers: &'a mut [[T; 2]],
}

impl<T: Float> Task<'_, T> {
    fn run(self, sizes: &Sizes, cpu: &Cpu, [query, key, value]: [&[T]; 3], first_keys: FirstKeys) {
        let (offset, head_dim) = (sizes.offset(), sizes.head_dim);
        // Of the keys only those from the first that a row of the block sees to the last.
        let start = first_keys.least(self.entry, self.first..self.first + self.rows);
        let visible = self.first + self.rows + offset - start;
        let stride = score_stride(visible);
        let mut scratch = cpu.pool.take::<T>(self.rows * stride);
        let scores = scratch.as_mut_slice::<T>(self.rows * stride);
        let score_rows = Layout::row_major(stride);
        for at in 0..self.heads {
            let head = self.head + at;
            let keys = sizes.key_rows(self.entry, head / sizes.group(), start);
            product(
                gemm::Sizes { rows: self.rows, columns: visible, depth: head_dim },
                T::from_f64(sizes.scale()),
                (query, sizes.query_rows(self.entry, self.first, head)),
                (key, keys.transposed()),
                T::ZERO,
                (&mut *scores, score_rows),
            );
            let mut sums = [T::ONE; BLOCK];
            for row in 0..self.rows {
                let first = first_keys.at(self.entry, self.first + row) - start;
                let (seen, hidden) =
                    scores[row * stride..][..visible].split_at_mut(self.first + row + offset + 1 - start);
                let (earlier, seen) = seen.split_at_mut(first);
                let (most, sum) = vectorized(
                    #[inline(always)]
                    || softmax(seen),
                );
                earlier.fill(T::ZERO);
                hidden.fill(T::ZERO);
                sums[row] = sum;
                self.normalizers[row * self.heads + at] = [most, sum];
            }
            let width = self.heads * head_dim;
            let target = Layout { offset: at * head_dim, row_stride: width, column_stride: 1 };
            product(
                gemm::Sizes { rows: self.rows, columns: head_dim, depth: visible },
                T::ONE,
                (&*scores, score_rows),
                (value, keys),
                T::ZERO,
                (&mut *self.output, target),
            );
            // One division a row of the output costs less than one a row of scores.
            for (out, sum) in self.output.chunks_mut(width).zip(sums) {
                let factor = T::ONE / sum;
                for x in &mut out[at * head_dim..][..head_dim] {
                    *x *= factor;
                }
            }
        }
    }
}
