//! The chunkwise backward on the CPU: one task a recurrence. First all border states again, then from the last chunk to
//! the first.

#![allow(clippy::needless_range_loop, reason = "zipped iterators are not inlined into code for wider vectors")]

use super::forward_cpu::{Slices, advance, cpu_of, dot, rows_of_cells, total, unfilled, worth_threads};
use super::gates_cpu::{Chunk, Gates, Place};
use super::{Mlstm, Saved, Sizes, optional};
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
    let (state, reset) = optional(&saved.inputs);
    gradients.truncate(if state.is_some() { 8 } else { 5 });
    // Resets have no gradient.
    Ok(gradients.into_iter().map(Some).chain(reset.map(|_| None)).collect())
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
    /// k_t·dk_t and E_t of the mathematics in mod.rs.
    along_input: Vec<T>,
    across: Vec<f64>,
}

impl<T: Float> Recurrence<T> {
    fn new(operation: &Mlstm, sizes: Sizes, slices: &Slices<T>, upstream: &Upstream<T>, cell: usize) -> Self {
        let place = Place::new(sizes, cell);
        let gates = slices.gates(operation, place, cell);
        let (length, v_dim) = (sizes.sequence, sizes.v_dim);
        let (mut x, mut y) = (vec![T::ZERO; length * v_dim], vec![T::ZERO; length]);
        if let Some(d_h) = upstream.d_h {
            vectorized(
                #[inline(always)]
                || {
                    for (t, (x, y)) in x.chunks_mut(v_dim).zip(&mut y).enumerate() {
                        let first = place.row(t, v_dim);
                        let (d_h, h) = (&d_h[first..][..v_dim], &upstream.h[first..][..v_dim]);
                        let den = upstream.den[place.row(t, 1)];
                        let (inverse, moved_by_den) = gates.inverse(t, den);
                        scale(x, d_h, inverse);
                        if moved_by_den {
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
            along_input: vec![T::ZERO; length],
            across: vec![0.0; length],
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
        let d_stabilizer = upstream.d_stabilizer.map_or(T::ZERO, |d| d[cell]);
        let remaining = self.gates.remaining(d_stabilizer, inner(border(chunks.len()), &target));
        let mut room = Room::new(sizes);
        for (index, chunk) in chunks.iter().enumerate().rev() {
            self.scores(slices, chunk, &mut room);
            self.through_states(slices, chunk, border(index), &mut room, &target);
            self.inside(slices, chunk, &mut room, &mut target);
            self.carry(slices, chunk, &room, &mut target);
        }
        let along_initial = inner(border(0), &target);
        self.gate_gradients(slices, remaining, along_initial, target);
    }

    /// S = s QKᵀ ⊙ decay, dS = s decay ⊙ (X⁺V⁺ᵀ), their pairs S ⊙ X⁺V⁺ᵀ, and X, V, K weighted as the states meet them.
    fn scores(&self, slices: &Slices<T>, chunk: &Chunk<T>, room: &mut Room<T>) {
        let (place, sizes) = (self.place, self.place.sizes);
        let (first, count, qk_dim, v_dim) = (chunk.first, chunk.rows, sizes.qk_dim, sizes.v_dim);
        let (at_qk, at_v) = (place.layout(first, qk_dim), place.layout(first, v_dim));
        let (x, y) = self.upstream(chunk);
        let square = Layout::row_major(count);
        let (query, key, value) =
            ((slices.query, at_qk), (slices.key, at_qk.transposed()), (slices.value, at_v.transposed()));
        let scores = Product { rows: count, columns: count, depth: qk_dim };
        product(scores, T::ONE, query, key, T::ZERO, (&mut room.scores, square));
        let scores = Product { depth: v_dim, ..scores };
        product(scores, T::ONE, (x, Layout::row_major(v_dim)), value, T::ZERO, (&mut room.d_scores, square));
        vectorized(
            #[inline(always)]
            || {
                self.gates.for_decays(
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
                        let pairs = &mut room.pairs[t * count..][..known];
                        let term = y[t];
                        for column in 0..known {
                            row[column] *= decay[column];
                            let along = d_row[column] + term;
                            pairs[column] = row[column] * along;
                            d_row[column] = along * decay[column];
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
    }

    /// X and y of a chunk.
    fn upstream(&self, chunk: &Chunk<T>) -> (&[T], &[T]) {
        let v_dim = self.place.sizes.v_dim;
        (&self.x[chunk.first * v_dim..][..chunk.rows * v_dim], &self.y[chunk.first..][..chunk.rows])
    }

    /// What passes through the states at the chunk's borders: the first part of dQ, dK, dV, and of E what goes from the
    /// state before the chunk into it, from it into the state after, and from state to state.
    fn through_states(
        &mut self,
        slices: &Slices<T>,
        chunk: &Chunk<T>,
        before: (&[T], &[T]),
        room: &mut Room<T>,
        target: &Target<T>,
    ) {
        let (place, sizes) = (self.place, self.place.sizes);
        let (first, count, qk_dim, v_dim) = (chunk.first, chunk.rows, sizes.qk_dim, sizes.v_dim);
        let (narrow, wide) = (Layout::row_major(qk_dim), Layout::row_major(v_dim));
        let (d_query, d_key, d_value) = (&mut room.d_query, &mut room.d_key, &mut room.d_value);
        let (state, d_state) = ((before.0, wide.transposed()), (&*target.d_memory, wide));
        let through = Product { rows: count, columns: qk_dim, depth: v_dim };
        product(through, T::ONE, (&room.weighted_x, wide), state, T::ZERO, (d_query, narrow));
        let state = (d_state.0, wide.transposed());
        product(through, T::ONE, (&room.weighted_value, wide), state, T::ZERO, (d_key, narrow));
        let through = Product { rows: count, columns: v_dim, depth: qk_dim };
        product(through, T::ONE, (&room.weighted_key, narrow), d_state, T::ZERO, (d_value, wide));
        let (mut reads, mut writes) = (vec![T::ZERO; count], vec![T::ZERO; count]);
        let y = &self.y[first..][..count];
        vectorized(
            #[inline(always)]
            || {
                for t in 0..count {
                    let row = t * qk_dim..(t + 1) * qk_dim;
                    let (d_query, d_key) = (&mut d_query[row.clone()], &mut d_key[row]);
                    let start = place.row(first + t, qk_dim);
                    let (read, write) = (chunk.read[t] * y[t], chunk.write[t]);
                    let (n, d_n) = (&before.1[..qk_dim], &target.d_normalizer[..qk_dim]);
                    for a in 0..qk_dim {
                        d_query[a] += read * n[a];
                        d_key[a] += write * d_n[a];
                    }
                    reads[t] = dot(&slices.query[start..][..qk_dim], d_query);
                    writes[t] = dot(&slices.key[start..][..qk_dim], d_key);
                }
            },
        );
        let across = &mut self.across[first..][..count];
        let mut behind = chunk.carry.to_f64() * inner(before, target).to_f64();
        for t in 0..count {
            across[t] += behind;
            behind += writes[t].to_f64();
        }
        let mut ahead = 0.0;
        for t in (0..count).rev() {
            ahead += reads[t].to_f64();
            across[t] += ahead;
        }
    }

    /// What stays inside the chunk: the rest of dQ, dK, dV and of E, and k·dk.
    fn inside(&mut self, slices: &Slices<T>, chunk: &Chunk<T>, room: &mut Room<T>, target: &mut Target<T>) {
        let (place, sizes) = (self.place, self.place.sizes);
        let (first, count, qk_dim, v_dim) = (chunk.first, chunk.rows, sizes.qk_dim, sizes.v_dim);
        let at_qk = place.layout(first, qk_dim);
        let (narrow, wide, square) = (Layout::row_major(qk_dim), Layout::row_major(v_dim), Layout::row_major(count));
        let to_qk = Product { rows: count, columns: qk_dim, depth: count };
        let to_v = Product { rows: count, columns: v_dim, depth: count };
        let (d_query, d_key, d_value) = (&mut room.d_query, &mut room.d_key, &mut room.d_value);
        let (query, key) = ((slices.query, at_qk), (slices.key, at_qk));
        product(to_qk, T::ONE, (&room.d_scores, square), key, T::ONE, (d_query, narrow));
        product(to_qk, T::ONE, (&room.d_scores, square.transposed()), query, T::ONE, (d_key, narrow));
        let x = (&self.x[first * v_dim..][..count * v_dim], wide);
        product(to_v, T::ONE, (&room.scores, square.transposed()), x, T::ONE, (d_value, wide));
        let mut columns = vec![T::ZERO; count];
        vectorized(
            #[inline(always)]
            || {
                // Pairs j < t ≤ u: the sums over u of each column so far, added up over the columns before t.
                for t in (0..count).rev() {
                    let (pairs, columns) = (&room.pairs[t * count..][..t + 1], &mut columns[..t + 1]);
                    for column in 0..t + 1 {
                        columns[column] += pairs[column];
                    }
                    self.across[first + t] += total(&columns[..t]).to_f64();
                    let row = t * qk_dim..(t + 1) * qk_dim;
                    let key = &slices.key[place.row(first + t, qk_dim)..][..qk_dim];
                    self.along_input[first + t] = dot(key, &d_key[row.clone()]);
                    target.d_query[first + t].copy_from_slice(&d_query[row.clone()]);
                    target.d_key[first + t].copy_from_slice(&d_key[row]);
                    target.d_value[first + t].copy_from_slice(&d_value[t * v_dim..][..v_dim]);
                }
            },
        );
    }

    /// dC⁺ from after the chunk to before it.
    fn carry(&self, slices: &Slices<T>, chunk: &Chunk<T>, room: &Room<T>, target: &mut Target<T>) {
        let (place, qk_dim, v_dim) = (self.place, self.place.sizes.qk_dim, self.place.sizes.v_dim);
        let (_, y) = self.upstream(chunk);
        vectorized(
            #[inline(always)]
            || {
                let d_n = &mut target.d_normalizer[..qk_dim];
                for a in 0..qk_dim {
                    d_n[a] *= chunk.carry;
                }
                for t in 0..chunk.rows {
                    let read = chunk.read[t] * y[t];
                    let query = &slices.query[place.row(chunk.first + t, qk_dim)..][..qk_dim];
                    for a in 0..qk_dim {
                        d_n[a] += read * query[a];
                    }
                }
            },
        );
        let wide = Layout::row_major(v_dim);
        product(
            Product { rows: qk_dim, columns: v_dim, depth: chunk.rows },
            T::ONE,
            (slices.query, place.layout(chunk.first, qk_dim).transposed()),
            (&room.weighted_x, wide),
            chunk.carry,
            (target.d_memory, wide),
        );
    }

    /// di, df and dm_0. `remaining` is δ, the final stabiliser's own gradient: it goes to the gates that made its maximum.
    fn gate_gradients(&self, slices: &Slices<T>, remaining: T, along_initial: T, mut target: Target<T>) {
        let made = self.gates.last_made();
        for t in 0..self.place.sizes.sequence {
            let gate = self.place.row(t, 1);
            let behind_made = made.is_none_or(|made| t > made);
            let own = if behind_made { remaining.to_f64() } else { 0.0 };
            let closed = (-slices.forget_gate[gate]).sigmoid();
            target.d_forget_gate[t][0] = closed * T::from_f64(self.across[t] + own);
            let maker = if made == Some(t) { remaining } else { T::ZERO };
            let slope = self.gates.input_slope(slices.input_gate[gate]);
            target.d_input_gate[t][0] = slope * self.along_input[t] + maker;
        }
        *target.d_stabilizer = self.gates.initial_gradient(along_initial, remaining);
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
    pairs: Vec<T>,
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
            pairs: room(length),
            weighted_x: room(sizes.v_dim),
            weighted_value: room(sizes.v_dim),
            weighted_key: room(sizes.qk_dim),
            d_query: room(sizes.qk_dim),
            d_key: room(sizes.qk_dim),
            d_value: room(sizes.v_dim),
        }
    }
}
