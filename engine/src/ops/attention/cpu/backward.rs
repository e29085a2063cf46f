//! The backward: each task takes one kv head of one batch entry with all query heads that read it, block after block, so
//! that every gradient is a sum in a fixed order.

use rayon::prelude::*;

use super::rows::{d_softmax, dot};
use super::{BLOCK, FirstKeys, Saved, Sizes, score_stride};
use crate::device::Cpu;
use crate::device::cpu::float::{Float, vectorized};
use crate::device::cpu::gemm::{self, Layout, product};
use crate::device::cpu::threads::for_rows;
use crate::error::Result;
use crate::tensor::Tensor;

struct Inputs<'a, T> {
    query: &'a [T],
    key: &'a [T],
    value: &'a [T],
    output: &'a [T],
    normalizers: &'a [T],
    first_keys: FirstKeys<'a>,
    d_output: &'a [T],
}

pub(super) fn backward<T: Float>(sizes: &Sizes, cpu: &Cpu, saved: &Saved) -> Result<Vec<Option<Tensor>>> {
    let inputs = Inputs {
        query: saved.query.cpu::<T>("attention")?,
        key: saved.key.cpu::<T>("attention")?,
        value: saved.value.cpu::<T>("attention")?,
        output: saved.output.cpu::<T>("attention")?,
        normalizers: saved.normalizers.cpu::<T>("attention")?,
        first_keys: FirstKeys::new(sizes, saved.first_key)?,
        d_output: saved.d_output.cpu::<T>("attention")?,
    };
    // The gradients head by head first: a task's part is contiguous then.
    let (of_query, of_key) = (sizes.queries * sizes.head_dim, sizes.capacity * sizes.head_dim);
    let (query_count, key_count) = (sizes.batch * sizes.heads * of_query, sizes.batch * sizes.kv_heads * of_key);
    let mut blocks = [cpu.pool.take::<T>(query_count), cpu.pool.take::<T>(key_count), cpu.pool.take::<T>(key_count)];
    if query_count == 0 {
        // No task would write the gradients of keys that nobody sees.
        blocks.iter_mut().skip(1).for_each(|block| block.as_mut_slice::<T>(key_count).fill(T::ZERO));
    } else {
        let [d_query, d_key, d_value] = &mut blocks;
        let tasks = (d_query.as_mut_slice::<T>(query_count).par_chunks_mut((sizes.group() * of_query).max(1)))
            .zip(d_key.as_mut_slice::<T>(key_count).par_chunks_mut(of_key.max(1)))
            .zip(d_value.as_mut_slice::<T>(key_count).par_chunks_mut(of_key.max(1)));
        tasks.enumerate().for_each(|(index, ((d_query, d_key), d_value))| {
            let task = Task { entry: index / sizes.kv_heads, kv_head: index % sizes.kv_heads, d_query, d_key, d_value };
            task.run(sizes, cpu, &inputs);
        });
    }
    let [d_query, d_key, d_value] = blocks;
    let mut gradients = vec![
        Some(interleave::<T>(cpu, d_query.as_slice(query_count), sizes, sizes.queries, sizes.heads)?),
        Some(interleave::<T>(cpu, d_key.as_slice(key_count), sizes, sizes.capacity, sizes.kv_heads)?),
        Some(interleave::<T>(cpu, d_value.as_slice(key_count), sizes, sizes.capacity, sizes.kv_heads)?),
    ];
    gradients.extend(saved.first_key.map(|_| None));
    Ok(gradients)
}

/// [batch, heads, rows, head_dim] as [batch, rows, heads, head_dim].
fn interleave<T: Float>(cpu: &Cpu, from: &[T], sizes: &Sizes, rows: usize, heads: usize) -> Result<Tensor> {
    let &Sizes { batch, head_dim, .. } = sizes;
    let width = heads * head_dim;
    Tensor::on_cpu(cpu, &[batch, rows, heads, head_dim], |to: &mut [T]| {
        for_rows(to, width, width, |first, block| {
            for (row, to) in (first..).zip(block.chunks_mut(width)) {
                let (entry, time) = (row / rows, row % rows);
                for (head, to) in to.chunks_mut(head_dim).enumerate() {
                    to.copy_from_slice(&from[((entry * heads + head) * rows + time) * head_dim..][..head_dim]);
                }
            }
        });
    })
}

/// One kv head of one batch entry, with the gradients' parts for it.
struct Task<'a, T> {
    entry: usize,
    kv_head: usize,
    /// [group, queries, head_dim]
    d_query: &'a mut [T],
    /// [capacity, head_dim]
    d_key: &'a mut [T],
    d_value: &'a mut [T],
}

impl<T: Float> Task<'_, T> {
    fn run(self, sizes: &Sizes, cpu: &Cpu, inputs: &Inputs<T>) {
        let &Sizes { queries, head_dim, .. } = sizes;
        self.d_key.fill(T::ZERO);
        self.d_value.fill(T::ZERO);
        let most = BLOCK.min(queries) * score_stride(sizes.keys);
        let mut scratch = [cpu.pool.take::<T>(most), cpu.pool.take::<T>(most)];
        let [scores, d_scores] = &mut scratch;
        let (scores, d_scores) = (scores.as_mut_slice::<T>(most), d_scores.as_mut_slice::<T>(most));
        let scale = T::from_f64(sizes.scale());
        let own = Layout::row_major(head_dim);
        for at in 0..sizes.group() {
            let head = self.kv_head * sizes.group() + at;
            for first in (0..queries).step_by(BLOCK) {
                let rows = BLOCK.min(queries - first);
                let start = inputs.first_keys.least(self.entry, first..first + rows);
                let visible = first + rows + sizes.offset() - start;
                let keys = sizes.key_rows(self.entry, self.kv_head, start);
                let stride = score_stride(visible);
                let (block, by_row) = (sizes.query_rows(self.entry, first, head), Layout::row_major(stride));
                let of_scores = gemm::Sizes { rows, columns: visible, depth: head_dim };
                let of_keys = gemm::Sizes { rows: visible, columns: head_dim, depth: rows };
                let of_queries = gemm::Sizes { rows, columns: head_dim, depth: visible };
                let (q, d_output) = ((inputs.query, block), (inputs.d_output, block));
                let (zero, one) = (T::ZERO, T::ONE);
                product(of_scores, scale, q, (inputs.key, keys.transposed()), zero, (&mut *scores, by_row));
                product(of_scores, one, d_output, (inputs.value, keys.transposed()), zero, (&mut *d_scores, by_row));
                for row in 0..rows {
                    let at = block.offset + row * block.row_stride;
                    let delta = dot(&inputs.d_output[at..][..head_dim], &inputs.output[at..][..head_dim]);
                    let place = (self.entry * sizes.heads + head) * queries + first + row;
                    let normalizer = [inputs.normalizers[2 * place], inputs.normalizers[2 * place + 1]];
                    let end = first + row + sizes.offset() + 1 - start;
                    let begin = inputs.first_keys.at(self.entry, first + row) - start;
                    let [p, ds] = [&mut *scores, &mut *d_scores].map(|all| {
                        let (seen, later) = all[row * stride..][..visible].split_at_mut(end);
                        let (earlier, seen) = seen.split_at_mut(begin);
                        earlier.fill(zero);
                        later.fill(zero);
                        seen
                    });
                    vectorized(
                        #[inline(always)]
                        || d_softmax(p, ds, normalizer, delta, scale),
                    );
                    if end - begin == 1 {
                        // One key alone has the weight 1 whatever its score: rounding must leave nothing.
                        ds[0] = zero;
                    }
                }
                let (p, ds) = ((&*scores, by_row.transposed()), (&*d_scores, by_row));
                let d_query = (&mut *self.d_query, own.at((at * queries + first) * head_dim));
                let of_key = own.at(start * head_dim);
                product(of_keys, one, p, d_output, one, (&mut *self.d_value, of_key));
                product(of_keys, one, (ds.0, by_row.transposed()), q, one, (&mut *self.d_key, of_key));
                product(of_queries, one, ds, (inputs.key, keys), zero, d_query);
            }
        }
    }
}
