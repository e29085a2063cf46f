//! The gates of one recurrence on the CPU: the only place that knows which function the input gate is.

#![allow(clippy::needless_range_loop, reason = "zipped iterators are not inlined into code for wider vectors")]

use super::{InputGate, Mlstm, Sizes};
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

/// ln of the forget gate where the state is forgotten: its exponential, and that of every sum it is part of, is 0.
pub(super) const FORGOTTEN: f64 = -1e30;

/// Per position: ln of the forget gate, ln of the input gate, and the stabiliser m.
pub(super) struct Gates<T> {
    input_gate: InputGate,
    epsilon: T,
    pub log_forget: Vec<T>,
    pub log_input: Vec<T>,
    pub stabilizer: Vec<T>,
    pub initial_stabilizer: T,
}

impl<T: Float> Gates<T> {
    /// From the pre-activations, the resets and the stabiliser of the initial state.
    pub(super) fn new(
        operation: &Mlstm,
        place: Place,
        (input_gate, forget_gate): (&[T], &[T]),
        reset: Option<&[u32]>,
        initial_stabilizer: T,
    ) -> Self {
        let sigmoid = operation.input_gate.is_sigmoid();
        let (mut log_input, mut log_forget) = (place.gather(input_gate), place.gather(forget_gate));
        log_sigmoids(&mut log_forget);
        if sigmoid {
            log_sigmoids(&mut log_input);
        }
        if let Some(reset) = reset {
            let reset = &reset[place.batch * place.sizes.sequence..][..place.sizes.sequence];
            for (forget, _) in log_forget.iter_mut().zip(reset).filter(|&(_, &reset)| reset != 0) {
                *forget = T::from_f64(FORGOTTEN);
            }
        }
        let initial_stabilizer = if sigmoid { T::ZERO } else { initial_stabilizer };
        let mut m = initial_stabilizer;
        let mut advance = |(&forget, &input): (&T, &T)| {
            m = if sigmoid { T::ZERO } else { (forget + m).max(input) };
            m
        };
        let stabilizer = log_forget.iter().zip(&log_input).map(&mut advance).collect();
        let (input_gate, epsilon) = (operation.input_gate, T::from_f64(operation.epsilon));
        Self { input_gate, epsilon, log_forget, log_input, stabilizer, initial_stabilizer }
    }

    /// 1/D at a position, and whether den moves it.
    pub(super) fn inverse(&self, position: usize, den: T) -> (T, bool) {
        if !self.input_gate.normalizes() {
            return (T::ONE, false);
        }
        let floor = (-self.stabilizer[position]).exp();
        (T::ONE / (den.abs().max(floor) + self.epsilon), den.abs() >= floor)
    }

    /// The derivative of ln of the input gate.
    pub(super) fn input_slope(&self, pre_activation: T) -> T {
        if self.input_gate.is_sigmoid() { (-pre_activation).sigmoid() } else { T::ONE }
    }

    /// The last position whose input gate made the stabiliser, if any did.
    pub(super) fn last_made(&self) -> Option<usize> {
        (0..self.log_input.len()).rev().find(|&t| self.log_input[t] >= self.stabilizer[t])
    }

    /// δ: what of the final stabiliser's gradient remains when the part that moves along C⁺ is taken off.
    pub(super) fn remaining(&self, d_stabilizer: T, along_final: T) -> T {
        if self.input_gate.is_sigmoid() { T::ZERO } else { d_stabilizer - along_final }
    }

    /// dm_0.
    pub(super) fn initial_gradient(&self, along_initial: T, remaining: T) -> T {
        match (self.input_gate, self.last_made()) {
            (InputGate::Sigmoid { .. }, _) => T::ZERO,
            (InputGate::Exponential, None) => along_initial + remaining,
            (InputGate::Exponential, Some(_)) => along_initial,
        }
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

/// x ← ln σ(x). A loop over one slice: over two chained ones it is not vectorised.
fn log_sigmoids<T: Float>(x: &mut [T]) {
    vectorized(
        #[inline(always)]
        || {
            for x in x {
                *x = x.log_sigmoid();
            }
        },
    );
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
