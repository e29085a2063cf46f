//! The gates of one recurrence on the CPU: the only place that knows which function the input gate is.

#![allow(clippy::needless_range_loop, reason = "zipped iterators are not inlined into code for wider vectors")]

use super::Sizes;
use crate::device::cpu::float::{Float, vectorized};
use crate::device::cpu::gemm::Layout;

/// One batch element and head: where its rows are in [batch, sequence, heads, ...].
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub batch: usize,
    pub head: usize,
    pub sizes: Sizes,
}

impl Place {
    pub(super) fn new(sizes: Sizes, cell: usize) -> Self {
        Self { batch: cell / sizes.heads, head: cell % sizes.heads, sizes }
    }

    /// The first element of row `position`, where rows are `width` wide.
    pub(super) fn row(self, position: usize, width: usize) -> usize {
        ((self.batch * self.sizes.sequence + position) * self.sizes.heads + self.head) * width
    }

    /// The matrix of this recurrence's rows from `position` on, `width` wide.
    pub(super) fn layout(self, position: usize, width: usize) -> Layout {
        Layout { offset: self.row(position, width), row_stride: self.sizes.heads * width, column_stride: 1 }
    }

    /// This recurrence's numbers, one a position.
    fn gather<T: Float>(self, from: &[T]) -> Vec<T> {
        (0..self.sizes.sequence).map(|position| from[self.row(position, 1)]).collect()
    }
}

/// Per position: ln of the forget gate, ln of the input gate, and the stabiliser m.
pub(super) struct Gates<T> {
    pub log_forget: Vec<T>,
    pub log_input: Vec<T>,
    pub stabilizer: Vec<T>,
    pub initial_stabilizer: T,
}

impl<T: Float> Gates<T> {
    pub(super) fn new(place: Place, input_gate: &[T], forget_gate: &[T], initial_stabilizer: T) -> Self {
        let log_input = place.gather(input_gate);
        let mut log_forget = place.gather(forget_gate);
        vectorized(
            #[inline(always)]
            || {
                for x in &mut log_forget {
                    *x = x.log_sigmoid();
                }
            },
        );
        let mut m = initial_stabilizer;
        let mut advance = |(&forget, &input): (&T, &T)| {
            m = (forget + m).max(input);
            m
        };
        let stabilizer = log_forget.iter().zip(&log_input).map(&mut advance).collect();
        Self { log_forget, log_input, stabilizer, initial_stabilizer }
    }

    /// The stabiliser after `position` positions.
    pub(super) fn after(&self, position: usize) -> T {
        if position == 0 { self.initial_stabilizer } else { self.stabilizer[position - 1] }
    }

    /// The weights of the chunk of `rows` positions from `first` on.
    pub(super) fn chunk(&self, first: usize, rows: usize, scale: T) -> Chunk<T> {
        let (before, after) = (self.after(first), self.after(first + rows));
        let mut read = vec![T::ZERO; rows];
        let mut sum = T::ZERO;
        for (t, weight) in read.iter_mut().enumerate() {
            sum += self.log_forget[first + t];
            *weight = sum + before - self.stabilizer[first + t];
        }
        let mut write = vec![T::ZERO; rows];
        let mut rest = T::ZERO;
        for (t, weight) in write.iter_mut().enumerate().rev() {
            *weight = rest + self.log_input[first + t] - after;
            rest += self.log_forget[first + t];
        }
        vectorized(
            #[inline(always)]
            || {
                for weight in &mut read {
                    *weight = scale * weight.exp();
                }
                for weight in &mut write {
                    *weight = weight.exp();
                }
            },
        );
        Chunk { first, rows, read, write, carry: (rest + before - after).exp() }
    }

    /// Runs `with(t, decay)` for each row of a chunk, inside vectorised code: s·decay_tj for every column j ≤ t, then zeros
    /// up to a whole number of vectors. `log_decay` holds Σ_{j<r≤t} lf_r + i_j for each column j: a sum over the segment
    /// itself, made longer row by row. What columns behind t hold is overwritten when t reaches them.
    #[inline(always)]
    pub(super) fn for_decays(&self, chunk: &Chunk<T>, scale: T, mut with: impl FnMut(usize, &[T])) {
        let (mut log_decay, mut decay) = ([[T::ZERO; VECTOR]; 256 / VECTOR], [[T::ZERO; VECTOR]; 256 / VECTOR]);
        for t in 0..chunk.rows {
            let position = chunk.first + t;
            let (forget, m) = (self.log_forget[position], self.stabilizer[position]);
            let last = t / VECTOR;
            for block in 0..=last {
                let logs = &mut log_decay[block];
                for column in 0..VECTOR {
                    logs[column] += forget;
                }
            }
            log_decay[last][t % VECTOR] = self.log_input[position];
            for block in 0..=last {
                let (logs, decays) = (&log_decay[block], &mut decay[block]);
                for column in 0..VECTOR {
                    decays[column] = scale * (logs[column] - m).exp();
                }
            }
            for column in t % VECTOR + 1..VECTOR {
                decay[last][column] = T::ZERO;
            }
            with(t, decay[..=last].as_flattened());
        }
    }
}

/// Numbers that are computed side by side: the widest vector of `f32`.
pub(super) const VECTOR: usize = 16;

/// What connects a chunk to the states at its borders.
pub(super) struct Chunk<T> {
    pub first: usize,
    pub rows: usize,
    /// s·exp(b_t + m − m_t): how much of the state before the chunk position t reads.
    pub read: Vec<T>,
    /// exp(a_t − m'): how much of position t is in the state after the chunk.
    pub write: Vec<T>,
    /// exp(g + m − m'): how much of the state before is in the state after.
    pub carry: T,
}
