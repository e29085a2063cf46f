//! The chunkwise forward on the CPU: one task a recurrence, from its first chunk to its last.

#![allow(clippy::needless_range_loop, reason = "zipped iterators are not inlined into code for wider vectors")]

use super::gates_cpu::{Chunk, Gates, Place, VECTOR};
use super::{Mlstm, Sizes, optional};
use crate::device::Cpu;
use crate::device::cpu::float::{Float, vectorized};
use crate::device::cpu::gemm::{Layout, Sizes as Product, product};
use crate::device::cpu::threads::for_items;
use crate::error::{Error, Result};
use crate::tensor::Tensor;
use crate::{DType, Device};

/// Multiply-adds below which all recurrences stay on one thread.
const WORTH_THREADS: usize = 1 << 16;

pub(super) fn cpu_of(tensor: &Tensor) -> Result<Cpu> {
    match tensor.device() {
        Device::Cpu(cpu) => Ok(cpu),
        Device::Gpu(_) => Err(Error::device("mlstm", "expected CPU tensors")),
    }
}

pub(super) fn worth_threads(sizes: Sizes) -> bool {
    sizes.cells() * sizes.sequence * (sizes.state() + sizes.chunk_size * (sizes.qk_dim + sizes.v_dim)) > WORTH_THREADS
}

/// A tensor that the caller fills.
pub(super) fn unfilled<T: Float>(cpu: &Cpu, sizes: &[usize]) -> Result<Tensor> {
    Tensor::on_cpu(cpu, sizes, |_: &mut [T]| {})
}

/// Cuts [batch, sequence, heads, width] into the rows of each recurrence.
pub(super) fn rows_of_cells<T>(sizes: Sizes, data: &mut [T], width: usize) -> Vec<Vec<&mut [T]>> {
    let mut cells: Vec<Vec<&mut [T]>> = (0..sizes.cells()).map(|_| Vec::with_capacity(sizes.sequence)).collect();
    let mut rows = data.chunks_mut(width);
    for batch in 0..sizes.batch {
        for _ in 0..sizes.sequence {
            for (cell, row) in cells[batch * sizes.heads..][..sizes.heads].iter_mut().zip(&mut rows) {
                cell.push(row);
            }
        }
    }
    cells
}

/// x ← x·y
#[inline(always)]
pub(super) fn multiply<T: Float>(x: &mut [T], y: &[T]) {
    let count = x.len();
    let y = &y[..count];
    for at in 0..count {
        x[at] *= y[at];
    }
}

/// The sum of side-by-side partial sums, in pairs.
#[inline(always)]
fn fold<T: Float>(mut parts: [T; VECTOR]) -> T {
    let mut half = VECTOR / 2;
    while half > 0 {
        for at in 0..half {
            parts[at] += parts[at + half];
        }
        half /= 2;
    }
    parts[0]
}

/// Σ x, in a fixed order.
#[inline(always)]
pub(super) fn total<T: Float>(x: &[T]) -> T {
    let mut parts = [T::ZERO; VECTOR];
    let whole = x.len() - x.len() % VECTOR;
    let mut first = 0;
    while first < whole {
        let block = &x[first..first + VECTOR];
        for at in 0..VECTOR {
            parts[at] += block[at];
        }
        first += VECTOR;
    }
    let mut sum = fold(parts);
    for at in whole..x.len() {
        sum += x[at];
    }
    sum
}

/// Σ x·y, in a fixed order.
#[inline(always)]
pub(super) fn dot<T: Float>(x: &[T], y: &[T]) -> T {
    let mut parts = [T::ZERO; VECTOR];
    let y = &y[..x.len()];
    let whole = x.len() - x.len() % VECTOR;
    let mut first = 0;
    while first < whole {
        let (left, right) = (&x[first..first + VECTOR], &y[first..first + VECTOR]);
        for at in 0..VECTOR {
            parts[at] += left[at] * right[at];
        }
        first += VECTOR;
    }
    let mut sum = fold(parts);
    for at in whole..x.len() {
        sum += x[at] * y[at];
    }
    sum
}

/// The inputs as slices; the initial state and the resets are `None` if they are not given.
pub(super) struct Slices<'a, T> {
    pub query: &'a [T],
    pub key: &'a [T],
    pub value: &'a [T],
    pub input_gate: &'a [T],
    pub forget_gate: &'a [T],
    pub initial: Option<[&'a [T]; 3]>,
    reset: Option<&'a [u32]>,
}

impl<'a, T: Float> Slices<'a, T> {
    pub(super) fn new(inputs: &[&'a Tensor]) -> Result<Self> {
        let slice = |place: usize| inputs[place].cpu::<T>("mlstm");
        let (state, reset) = optional(inputs);
        Ok(Self {
            query: slice(0)?,
            key: slice(1)?,
            value: slice(2)?,
            input_gate: slice(3)?,
            forget_gate: slice(4)?,
            initial: if state.is_some() { Some([slice(5)?, slice(6)?, slice(7)?]) } else { None },
            reset: reset.map(|reset| reset.cpu("mlstm")).transpose()?,
        })
    }

    pub(super) fn gates(&self, operation: &Mlstm, place: Place, cell: usize) -> Gates<T> {
        let m = self.initial.map_or(T::ZERO, |[_, _, m]| m[cell]);
        Gates::new(operation, place, (self.input_gate, self.forget_gate), self.reset, m)
    }

    /// Copies the initial state of a recurrence into C and n.
    pub(super) fn start(&self, cell: usize, memory: &mut [T], normalizer: &mut [T]) {
        match self.initial {
            Some([c, n, _]) => {
                memory.copy_from_slice(&c[cell * memory.len()..][..memory.len()]);
                normalizer.copy_from_slice(&n[cell * normalizer.len()..][..normalizer.len()]);
            }
            None => {
                memory.fill(T::ZERO);
                normalizer.fill(T::ZERO);
            }
        }
    }
}

/// C, n ← the state after the chunk. `weighted` is room for rows of keys.
pub(super) fn advance<T: Float>(
    place: Place,
    chunk: &Chunk<T>,
    slices: &Slices<T>,
    weighted: &mut [T],
    (memory, normalizer): (&mut [T], &mut [T]),
) {
    let (qk_dim, v_dim) = (place.sizes.qk_dim, place.sizes.v_dim);
    vectorized(
        #[inline(always)]
        || {
            for n in 0..qk_dim {
                normalizer[n] *= chunk.carry;
            }
            for t in 0..chunk.rows {
                let key = &slices.key[place.row(chunk.first + t, qk_dim)..][..qk_dim];
                let (out, normalizer) = (&mut weighted[t * qk_dim..][..qk_dim], &mut normalizer[..qk_dim]);
                let weight = chunk.write[t];
                for a in 0..qk_dim {
                    out[a] = weight * key[a];
                    normalizer[a] += out[a];
                }
            }
        },
    );
    product(
        Product { rows: qk_dim, columns: v_dim, depth: chunk.rows },
        T::ONE,
        (weighted, Layout::row_major(qk_dim).transposed()),
        (slices.value, place.layout(chunk.first, v_dim)),
        chunk.carry,
        (memory, Layout::row_major(v_dim)),
    );
}

pub(super) fn forward(operation: &Mlstm, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
    match inputs[0].dtype() {
        DType::F64 => typed::<f64>(operation, inputs),
        _ => typed::<f32>(operation, inputs),
    }
}

/// What one recurrence writes.
struct Target<'a, T> {
    h: Vec<&'a mut [T]>,
    den: Vec<&'a mut [T]>,
    memory: &'a mut [T],
    normalizer: &'a mut [T],
    stabilizer: &'a mut T,
}

fn typed<T: Float>(operation: &Mlstm, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
    let (cpu, sizes) = (cpu_of(inputs[0])?, operation.sizes_of(inputs)?);
    let slices = Slices::<T>::new(inputs)?;
    let mut h = unfilled::<T>(&cpu, &sizes.value())?;
    let mut den = unfilled::<T>(&cpu, &sizes.gate())?;
    let mut memory = unfilled::<T>(&cpu, &sizes.memory())?;
    let mut normalizer = unfilled::<T>(&cpu, &sizes.normalizer())?;
    let mut stabilizer = unfilled::<T>(&cpu, &sizes.stabilizer())?;
    let targets = rows_of_cells(sizes, h.cpu_mut("mlstm")?, sizes.v_dim)
        .into_iter()
        .zip(rows_of_cells(sizes, den.cpu_mut("mlstm")?, 1))
        .zip(memory.cpu_mut::<T>("mlstm")?.chunks_mut(sizes.state()))
        .zip(normalizer.cpu_mut::<T>("mlstm")?.chunks_mut(sizes.qk_dim))
        .zip(stabilizer.cpu_mut::<T>("mlstm")?)
        .map(|((((h, den), memory), normalizer), stabilizer)| Target { h, den, memory, normalizer, stabilizer })
        .collect();
    for_items(targets, worth_threads(sizes), |cell, target| recurrence(operation, sizes, &slices, cell, target));
    Ok(if operation.final_state { vec![h, memory, normalizer, stabilizer, den] } else { vec![h, den] })
}

fn recurrence<T: Float>(operation: &Mlstm, sizes: Sizes, slices: &Slices<T>, cell: usize, mut target: Target<T>) {
    let place = Place::new(sizes, cell);
    let (qk_dim, v_dim, length) = (sizes.qk_dim, sizes.v_dim, sizes.chunk_size.min(sizes.sequence));
    let scale = T::from_f64(sizes.scale());
    let gates = slices.gates(operation, place, cell);
    slices.start(cell, target.memory, target.normalizer);
    let mut scores = vec![T::ZERO; length * length];
    let mut weighted = vec![T::ZERO; length * qk_dim];
    let mut sums = vec![T::ZERO; length * v_dim];
    let mut den = vec![T::ZERO; length];
    for first in (0..sizes.sequence).step_by(sizes.chunk_size) {
        let chunk = gates.chunk(first, sizes.chunk_size.min(sizes.sequence - first), scale);
        let count = chunk.rows;
        let query = (slices.query, place.layout(first, qk_dim));
        let key = (slices.key, place.layout(first, qk_dim).transposed());
        let score_layout = Layout::row_major(count);
        product(
            Product { rows: count, columns: count, depth: qk_dim },
            T::ONE,
            query,
            key,
            T::ZERO,
            (&mut scores, score_layout),
        );
        vectorized(
            #[inline(always)]
            || {
                gates.for_decays(
                    &chunk,
                    scale,
                    #[inline(always)]
                    |t, decay| {
                        let row = &mut scores[t * count..][..count];
                        let known = decay.len().min(count);
                        multiply(&mut row[..known], decay);
                        row[known..].fill(T::ZERO);
                        let query = &slices.query[place.row(first + t, qk_dim)..][..qk_dim];
                        let (weighted, read) = (&mut weighted[t * qk_dim..][..qk_dim], chunk.read[t]);
                        for a in 0..qk_dim {
                            weighted[a] = read * query[a];
                        }
                        den[t] = total(row) + dot(weighted, target.normalizer);
                    },
                );
            },
        );
        let output = Product { rows: count, columns: v_dim, depth: count };
        let value = (slices.value, place.layout(first, v_dim));
        let wide = Layout::row_major(v_dim);
        product(output, T::ONE, (&scores, score_layout), value, T::ZERO, (&mut sums, wide));
        let state = (&*target.memory, wide);
        let depth = Product { depth: qk_dim, ..output };
        product(depth, T::ONE, (&weighted, Layout::row_major(qk_dim)), state, T::ONE, (&mut sums, wide));
        vectorized(
            #[inline(always)]
            || {
                for t in 0..count {
                    let (inverse, _) = gates.inverse(first + t, den[t]);
                    let (h, sums) = (&mut target.h[first + t][..v_dim], &sums[t * v_dim..][..v_dim]);
                    for column in 0..v_dim {
                        h[column] = sums[column] * inverse;
                    }
                    target.den[first + t][0] = den[t];
                }
            },
        );
        advance(place, &chunk, slices, &mut weighted, (target.memory, target.normalizer));
    }
    *target.stabilizer = gates.after(sizes.sequence);
}
