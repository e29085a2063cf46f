//! The chunkwise backward on the CPU: one task a recurrence. First all border states again, then from the last chunk to
//! the first.

#![allow(clippy::needless_range_loop, reason = "zipped iterators are not inlined into code for wider vectors")]

use super::forward_cpu::{Slices, advance, cpu_of, dot, rows_of_cells, unfilled, worth_threads};
use super::gates_cpu::{Chunk, Gates, Place};
use super::{Mlstm, Saved, Sizes};
use crate::DType;
use crate::device::cpu::float::{Float, vectorized};
use crate::device::cpu::gemm::{Layout, Sizes as Product, product};
use crate::device::cpu::threads::for_items;
use crate::error::Result;
use crate::operation::Context;
use crate::tensor::Tensor;

pub(super) fn backward(operation: &Mlstm, context: &Context) -> Result<Vec<Option<Tensor>>> {
    let saved = Saved::new(operation, context)?;
    match saved.h.dtype() {
        DType::F64 => typed::<f64>(operation, &saved),
        _ => typed::<f32>(operation, &saved),
    }
}

/// The upstream gradients and what the forward left, as slices.
struct Upstream<'a, T> {
    h: &'a [T],
    den: &'a [T],
    d_h: Option<&'a [T]>,
    d_memory: Option<&'a [T]>,
    d_normalizer: Option<&'a [T]>,
    d_stabilizer: Option<&'a [T]>,
}

/// What one recurrence writes.
struct Target<'a, T> {
    d_query: Vec<&'a mut [T]>,
    d_key: Vec<&'a mut [T]>,
    d_value: Vec<&'a mut [T]>,
    d_input_gate: Vec<&'a mut [T]>,
    d_forget_gate: Vec<&'a mut [T]>,
    /// dC and dn while the chunks are passed; of the initial state in the end.
    d_memory: &'a mut [T],
    d_normalizer: &'a mut [T],
    d_stabilizer: &'a mut T,
}

fn typed<T: Float>(operation: &Mlstm, saved: &Saved) -> Result<Vec<Option<Tensor>>> {
    let (cpu, sizes) = (cpu_of(saved.h)?, operation.sizes_of(&saved.inputs)?);
    let slices = Slices::<T>::new(&saved.inputs)?;
    let given = |place: usize| saved.d_outputs[place].map(|tensor| tensor.cpu::<T>("mlstm")).transpose();
    let upstream = Upstream {
        h: saved.h.cpu("mlstm")?,
        den: saved.den.cpu("mlstm")?,
        d_h: given(0)?,
        d_memory: given(1)?,
        d_normalizer: given(2)?,
        d_stabilizer: given(3)?,
    };
    let shapes: [&[usize]; 8] = [
        &sizes.query(),
        &sizes.query(),
        &sizes.value(),
        &sizes.gate(),
        &sizes.gate(),
        &sizes.memory(),
        &sizes.normalizer(),
        &sizes.stabilizer(),
    ];
    let mut gradients = shapes.into_iter().map(|shape| unfilled::<T>(&cpu, shape)).collect::<Result<Vec<_>>>()?;
    if let [query, key, value, input_gate, forget_gate, memory, normalizer, stabilizer] = gradients.as_mut_slice() {
        let targets = rows_of_cells(sizes, query.cpu_mut("mlstm")?, sizes.qk_dim)
            .into_iter()
            .zip(rows_of_cells(sizes, key.cpu_mut("mlstm")?, sizes.qk_dim))
            .zip(rows_of_cells(sizes, value.cpu_mut("mlstm")?, sizes.v_dim))
            .zip(rows_of_cells(sizes, input_gate.cpu_mut("mlstm")?, 1))
            .zip(rows_of_cells(sizes, forget_gate.cpu_mut("mlstm")?, 1))
            .zip(memory.cpu_mut::<T>("mlstm")?.chunks_mut(sizes.state()))
            .zip(normalizer.cpu_mut::<T>("mlstm")?.chunks_mut(sizes.qk_dim))
            .zip(stabilizer.cpu_mut::<T>("mlstm")?)
            .map(|(((((((d_query, d_key), d_value), d_input_gate), d_forget_gate), d_memory), d_normalizer), last)| {
                let d_stabilizer = last;
                Target { d_query, d_key, d_value, d_input_gate, d_forget_gate, d_memory, d_normalizer, d_stabilizer }
            })
            .collect();
        for_items(targets, worth_threads(sizes), |cell, target| {
            Recurrence::new(operation, sizes, &slices, &upstream, cell).run(&slices, &upstream, target);
        });
    }
    gradients.truncate(saved.inputs.len());
    Ok(gradients.into_iter().map(Some).collect())
}

/// One recurrence with its room for intermediate results.
struct Recurrence<T> {
    place: Place,
    cell: usize,
    scale: T,
    gates: Gates<T>,
    /// X = dH/D and y for every position.
    x: Vec<T>,
    y: Vec<T>,
    /// Σ_u (q_u·dq_u − k_u·dk_u) has these terms, and di these.
    forget_terms: Vec<T>,
    input_terms: Vec<T>,
}

impl<T: Float> Recurrence<T> {
    fn new(operation: &Mlstm, sizes: Sizes, slices: &Slices<T>, upstream: &Upstream<T>, cell: usize) -> Self {
        let place = Place::new(sizes, cell);
        let gates = slices.gates(place, cell);
        let (length, v_dim) = (sizes.sequence, sizes.v_dim);
        let (mut x, mut y) = (vec![T::ZERO; length * v_dim], vec![T::ZERO; length]);
        if let Some(d_h) = upstream.d_h {
            let epsilon = T::from_f64(operation.epsilon);
            vectorized(
                #[inline(always)]
                || {
                    for (t, (x, y)) in x.chunks_mut(v_dim).zip(&mut y).enumerate() {
                        let first = place.row(t, v_dim);
                        let (d_h, h) = (&d_h[first..][..v_dim], &upstream.h[first..][..v_dim]);
                        let (den, floor) = (upstream.den[place.row(t, 1)], (-gates.stabilizer[t]).exp());
                        let inverse = T::ONE / (den.abs().max(floor) + epsilon);
                        scale(x, d_h, inverse);
                        if den.abs() >= floor {
                            let along = dot(x, h);
                            *y = if den > T::ZERO { -along } else { along };
                        }
                    }
                },
            );
        }
        Self {
            place,
            cell,
            scale: T::from_f64(sizes.scale()),
            gates,
            x,
            y,
            forget_terms: vec![T::ZERO; length],
            input_terms: vec![T::ZERO; length],
        }
    }

    fn run(mut self, slices: &Slices<T>, upstream: &Upstream<T>, mut target: Target<T>) {
        let sizes = self.place.sizes;
        let (state, qk_dim, cell) = (sizes.state(), sizes.qk_dim, self.cell);
        let firsts: Vec<usize> = (0..sizes.sequence).step_by(sizes.chunk_size).collect();
        let chunks: Vec<Chunk<T>> = firsts
            .iter()
            .map(|&first| self.gates.chunk(first, sizes.chunk_size.min(sizes.sequence - first), self.scale))
            .collect();
        // The states before each chunk, and the final one.
        let mut memories = vec![T::ZERO; (chunks.len() + 1) * state];
        let mut normalizers = vec![T::ZERO; (chunks.len() + 1) * qk_dim];
        let mut weighted = vec![T::ZERO; sizes.chunk_size.min(sizes.sequence) * qk_dim];
        slices.start(cell, &mut memories[..state], &mut normalizers[..qk_dim]);
        for (index, chunk) in chunks.iter().enumerate() {
            memories.copy_within(index * state..(index + 1) * state, (index + 1) * state);
            normalizers.copy_within(index * qk_dim..(index + 1) * qk_dim, (index + 1) * qk_dim);
            let next =
                (&mut memories[(index + 1) * state..][..state], &mut normalizers[(index + 1) * qk_dim..][..qk_dim]);
            advance(self.place, chunk, slices, &mut weighted, next);
        }
        let copy = |from: Option<&[T]>, to: &mut [T]| match from {
            Some(from) => to.copy_from_slice(&from[cell * to.len()..][..to.len()]),
            None => to.fill(T::ZERO),
        };
        copy(upstream.d_memory, target.d_memory);
        copy(upstream.d_normalizer, target.d_normalizer);
        let border = |index: usize| (&memories[index * state..][..state], &normalizers[index * qk_dim..][..qk_dim]);
        let along_final = inner(border(chunks.len()), &target);
        let d_stabilizer = upstream.d_stabilizer.map_or(T::ZERO, |d| d[cell]);
        let mut room = Room::new(sizes);
        for (index, chunk) in chunks.iter().enumerate().rev() {
            self.chunk(slices, chunk, border(index), &mut room, &mut target);
        }
        let along_initial = inner(border(0), &target);
        self.gate_gradients(slices, along_final, d_stabilizer - along_final, along_initial, target);
    }

    /// dQ, dK, dV of a chunk, and dC⁺ from after it to before it.
    fn chunk(
        &mut self,
        slices: &Slices<T>,
        chunk: &Chunk<T>,
        before: (&[T], &[T]),
        room: &mut Room<T>,
        target: &mut Target<T>,
    ) {
        let (place, sizes) = (self.place, self.place.sizes);
        let (first, count, qk_dim, v_dim) = (chunk.first, chunk.rows, sizes.qk_dim, sizes.v_dim);
        let (at_qk, at_v) = (place.layout(first, qk_dim), place.layout(first, v_dim));
        let (query, key) = ((slices.query, at_qk), (slices.key, at_qk));
        let (key_transposed, value_transposed) = ((slices.key, at_qk.transposed()), (slices.value, at_v.transposed()));
        let (x, y) = (&self.x[first * v_dim..][..count * v_dim], &self.y[first..][..count]);
        let (narrow, wide, square) = (Layout::row_major(qk_dim), Layout::row_major(v_dim), Layout::row_major(count));
        let scores = Product { rows: count, columns: count, depth: qk_dim };
        product(scores, T::ONE, query, key_transposed, T::ZERO, (&mut room.scores, square));
        let scores = Product { depth: v_dim, ..scores };
        product(scores, T::ONE, (x, wide), value_transposed, T::ZERO, (&mut room.d_scores, square));
        let gates = &self.gates;
        vectorized(
            #[inline(always)]
            || {
                gates.for_decays(
                    chunk,
                    self.scale,
                    #[inline(always)]
                    |t, decay| {
                        let row = &mut room.scores[t * count..][..count];
                        let d_row = &mut room.d_scores[t * count..][..count];
                        let known = decay.len().min(count);
                        row[known..].fill(T::ZERO);
                        d_row[known..].fill(T::ZERO);
                        let (row, d_row, decay) = (&mut row[..known], &mut d_row[..known], &decay[..known]);
                        let term = y[t];
                        for column in 0..known {
                            row[column] *= decay[column];
                            d_row[column] = (d_row[column] + term) * decay[column];
                        }
                    },
                );
                for t in 0..count {
                    let (read, write) = (chunk.read[t], chunk.write[t]);
                    let (narrow, wide) = (t * qk_dim..(t + 1) * qk_dim, t * v_dim..(t + 1) * v_dim);
                    scale(&mut room.weighted_x[wide.clone()], &x[wide.clone()], read);
                    scale(&mut room.weighted_value[wide], &slices.value[place.row(first + t, v_dim)..], write);
                    scale(&mut room.weighted_key[narrow], &slices.key[place.row(first + t, qk_dim)..], write);
                }
            },
        );
        let to_qk = Product { rows: count, columns: qk_dim, depth: count };
        let to_v = Product { rows: count, columns: v_dim, depth: count };
        // dQ = dS K + (read ⊙ X) Cᵀ, dK = dSᵀ Q + (write ⊙ V) dC'ᵀ, dV = Sᵀ X + (write ⊙ K) dC'
        let (d_query, d_key, d_value) = (&mut room.d_query, &mut room.d_key, &mut room.d_value);
        let d_scores = (&*room.d_scores, square);
        let d_scores_transposed = (&*room.d_scores, square.transposed());
        product(to_qk, T::ONE, d_scores, key, T::ZERO, (d_query, narrow));
        product(to_qk, T::ONE, d_scores_transposed, query, T::ZERO, (d_key, narrow));
        product(to_v, T::ONE, (&room.scores, square.transposed()), (x, wide), T::ZERO, (d_value, wide));
        let through = Product { depth: v_dim, ..to_qk };
        let state = wide.transposed();
        product(through, T::ONE, (&room.weighted_x, wide), (before.0, state), T::ONE, (d_query, narrow));
        product(through, T::ONE, (&room.weighted_value, wide), (target.d_memory, state), T::ONE, (d_key, narrow));
        let through = Product { depth: qk_dim, ..to_v };
        product(through, T::ONE, (&room.weighted_key, narrow), (target.d_memory, wide), T::ONE, (d_value, wide));
        vectorized(
            #[inline(always)]
            || {
                for t in 0..count {
                    let row = t * qk_dim..(t + 1) * qk_dim;
                    let (d_query, d_key) = (&mut d_query[row.clone()], &mut d_key[row]);
                    let start = place.row(first + t, qk_dim);
                    let (query, key) = (&slices.query[start..][..qk_dim], &slices.key[start..][..qk_dim]);
                    let (read, write) = (chunk.read[t] * y[t], chunk.write[t]);
                    let (n, d_n) = (&before.1[..qk_dim], &target.d_normalizer[..qk_dim]);
                    for a in 0..qk_dim {
                        d_query[a] += read * n[a];
                        d_key[a] += write * d_n[a];
                    }
                    let input = dot(key, d_key);
                    self.input_terms[first + t] = input;
                    self.forget_terms[first + t] = dot(query, d_query) - input;
                    target.d_query[first + t].copy_from_slice(d_query);
                    target.d_key[first + t].copy_from_slice(d_key);
                    target.d_value[first + t].copy_from_slice(&d_value[t * v_dim..][..v_dim]);
                }
                let d_n = &mut target.d_normalizer[..qk_dim];
                for a in 0..qk_dim {
                    d_n[a] *= chunk.carry;
                }
                for t in 0..count {
                    let read = chunk.read[t] * y[t];
                    let query = &slices.query[place.row(first + t, qk_dim)..][..qk_dim];
                    for a in 0..qk_dim {
                        d_n[a] += read * query[a];
                    }
                }
            },
        );
        product(
            Product { rows: qk_dim, columns: v_dim, depth: count },
            T::ONE,
            (slices.query, at_qk.transposed()),
            (&room.weighted_x, wide),
            chunk.carry,
            (target.d_memory, wide),
        );
    }

    /// di, df and dm_0. `remaining` is δ, the final stabiliser's own gradient: it goes to the gates that made its maximum.
    fn gate_gradients(
        &self,
        slices: &Slices<T>,
        along_final: T,
        remaining: T,
        along_initial: T,
        mut target: Target<T>,
    ) {
        let gates = &self.gates;
        let made = (0..self.place.sizes.sequence).rev().find(|&t| gates.log_input[t] >= gates.stabilizer[t]);
        let mut suffix = along_final.to_f64() + remaining.to_f64();
        for t in (0..self.place.sizes.sequence).rev() {
            suffix += self.forget_terms[t].to_f64();
            let (maker, own) = if made == Some(t) { (remaining, true) } else { (T::ZERO, false) };
            if own {
                suffix -= remaining.to_f64();
            }
            let closed = (-slices.forget_gate[self.place.row(t, 1)]).sigmoid();
            target.d_forget_gate[t][0] = closed * T::from_f64(suffix);
            target.d_input_gate[t][0] = self.input_terms[t] + maker;
        }
        *target.d_stabilizer = along_initial + if made.is_none() { remaining } else { T::ZERO };
    }
}

/// ⟨C, dC⟩ + ⟨n, dn⟩
fn inner<T: Float>((memory, normalizer): (&[T], &[T]), target: &Target<T>) -> T {
    vectorized(
        #[inline(always)]
        || dot(memory, target.d_memory) + dot(normalizer, target.d_normalizer),
    )
}

/// out ← weight·x
#[inline(always)]
fn scale<T: Float>(out: &mut [T], x: &[T], weight: T) {
    let count = out.len();
    let x = &x[..count];
    for at in 0..count {
        out[at] = weight * x[at];
    }
}

/// Intermediate results of one chunk.
struct Room<T> {
    scores: Vec<T>,
    d_scores: Vec<T>,
    weighted_x: Vec<T>,
    weighted_value: Vec<T>,
    weighted_key: Vec<T>,
    d_query: Vec<T>,
    d_key: Vec<T>,
    d_value: Vec<T>,
}

impl<T: Float> Room<T> {
    fn new(sizes: Sizes) -> Self {
        let length = sizes.chunk_size.min(sizes.sequence);
        let room = |width: usize| vec![T::ZERO; length * width];
        Self {
            scores: room(length),
            d_scores: room(length),
            weighted_x: room(sizes.v_dim),
            weighted_value: room(sizes.v_dim),
            weighted_key: room(sizes.qk_dim),
            d_query: room(sizes.qk_dim),
            d_key: room(sizes.qk_dim),
            d_value: room(sizes.v_dim),
        }
    }
}
