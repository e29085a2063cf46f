//! The recurrence, one position after the other.
//!
//! Beside C runs the sum of the absolute values of its terms, and that sum with each term times 1 + |its exponent's
//! parts|: an error ε·|x| in an exponent x is a relative error of its exponential.

use super::Mlstm;
use crate::definition::{Array, Defined};

/// One recurrence: C⁺ = [C, n], dv + 1 wide, and its bounds.
struct Cell {
    value: Vec<f64>,
    absolute: Vec<f64>,
    sensitive: Vec<f64>,
    stabilizer: f64,
    stabilizer_terms: f64,
}

pub(super) fn define(operation: &Mlstm, inputs: &[Array]) -> Vec<Defined> {
    let [query, key, value, input_gate, forget_gate, state @ ..] = inputs else { return Vec::new() };
    let &[batch, sequence, heads, qk_dim] = query.sizes.as_slice() else { return Vec::new() };
    let v_dim = value.last();
    let width = v_dim + 1;
    let scale = 1.0 / (qk_dim as f64).sqrt();
    let terms = qk_dim + sequence;
    let empty = |sizes: &[usize]| {
        let count: usize = sizes.iter().product();
        Defined { value: Array::new(sizes, vec![0.0; count]), magnitude: vec![0.0; count], terms }
    };
    let mut h = empty(&[batch, sequence, heads, v_dim]);
    let mut memory = empty(&[batch, heads, qk_dim, v_dim]);
    let mut normalizer = empty(&[batch, heads, qk_dim]);
    let mut stabilizer = empty(&[batch, heads]);
    for b in 0..batch {
        for head in 0..heads {
            let mut cell = start(state, b, head, qk_dim, v_dim);
            for t in 0..sequence {
                let row = |x: &Array, width: usize| {
                    let first = x.offset([b, t, head, 0]);
                    x.data[first..first + width].to_vec()
                };
                let (q, k, mut v) = (row(query, qk_dim), row(key, qk_dim), row(value, v_dim));
                v.push(1.0);
                advance(&mut cell, &k, &v, input_gate.at([b, t, head]), forget_gate.at([b, t, head]));
                let read = |from: &[f64], column: usize, with: fn(f64) -> f64| -> f64 {
                    scale * (0..qk_dim).map(|a| with(q[a]) * from[a * width + column]).sum::<f64>()
                };
                let m = cell.stabilizer;
                let bound =
                    |column| read(&cell.sensitive, column, f64::abs) + m.abs() * read(&cell.absolute, column, f64::abs);
                let den = read(&cell.value, v_dim, |x| x);
                let divisor = den.abs().max((-m).exp()) + operation.epsilon;
                let divisor_terms = bound(v_dim).max((1.0 + m.abs()) * (-m).exp());
                for column in 0..v_dim {
                    let place = h.value.offset([b, t, head, column]);
                    let result = read(&cell.value, column, |x| x) / divisor;
                    h.value.data[place] = result;
                    h.magnitude[place] = (bound(column) + result.abs() * divisor_terms) / divisor;
                }
            }
            let bound = |place: usize| cell.sensitive[place] + cell.stabilizer.abs() * cell.absolute[place];
            for a in 0..qk_dim {
                for column in 0..v_dim {
                    let place = memory.value.offset([b, head, a, column]);
                    memory.value.data[place] = cell.value[a * width + column];
                    memory.magnitude[place] = bound(a * width + column);
                }
                let place = normalizer.value.offset([b, head, a]);
                normalizer.value.data[place] = cell.value[a * width + v_dim];
                normalizer.magnitude[place] = bound(a * width + v_dim);
            }
            let place = stabilizer.value.offset([b, head]);
            stabilizer.value.data[place] = cell.stabilizer;
            stabilizer.magnitude[place] = cell.stabilizer_terms;
        }
    }
    if operation.final_state { vec![h, memory, normalizer, stabilizer] } else { vec![h] }
}

fn start(state: &[Array], b: usize, head: usize, qk_dim: usize, v_dim: usize) -> Cell {
    let mut value = vec![0.0; qk_dim * (v_dim + 1)];
    let mut m = 0.0;
    if let [memory, normalizer, stabilizer] = state {
        for a in 0..qk_dim {
            for column in 0..v_dim {
                value[a * (v_dim + 1) + column] = memory.at([b, head, a, column]);
            }
            value[a * (v_dim + 1) + v_dim] = normalizer.at([b, head, a]);
        }
        m = stabilizer.at([b, head]);
    }
    let absolute: Vec<f64> = value.iter().map(|x| x.abs()).collect();
    let sensitive = absolute.iter().map(|x| x * (1.0 + m.abs())).collect();
    Cell { value, absolute, sensitive, stabilizer: m, stabilizer_terms: m.abs() }
}

/// m, C⁺ ← the next.
fn advance(cell: &mut Cell, k: &[f64], v: &[f64], input_gate: f64, forget_gate: f64) {
    let log_forget = forget_gate.min(0.0) - (-forget_gate.abs()).exp().ln_1p();
    let kept = log_forget + cell.stabilizer;
    let m = kept.max(input_gate);
    let forget = (kept - m).exp();
    let input = (input_gate - m).exp();
    let width = v.len();
    for (a, &k) in k.iter().enumerate() {
        for (column, &v) in v.iter().enumerate() {
            let place = a * width + column;
            let term = input * k * v;
            let absolute = cell.absolute[place];
            cell.sensitive[place] =
                forget * (cell.sensitive[place] + log_forget.abs() * absolute) + (1.0 + input_gate.abs()) * term.abs();
            cell.absolute[place] = forget * absolute + term.abs();
            cell.value[place] = forget * cell.value[place] + term;
        }
    }
    cell.stabilizer_terms =
        if input_gate >= kept { input_gate.abs() } else { log_forget.abs() + cell.stabilizer_terms };
    cell.stabilizer = m;
}

/// |den_t| / exp(−m_t) of every position, with the place of the position's query.
pub(super) fn floor_ratios(inputs: &[Array]) -> Vec<(f64, std::ops::Range<usize>)> {
    let [query, key, _, input_gate, forget_gate, state @ ..] = inputs else { return Vec::new() };
    let &[batch, sequence, heads, qk_dim] = query.sizes.as_slice() else { return Vec::new() };
    let mut ratios = Vec::new();
    for b in 0..batch {
        for head in 0..heads {
            let mut cell = start(state, b, head, qk_dim, state.first().map_or(0, Array::last));
            // Only the column of n.
            let width = cell.value.len() / qk_dim;
            let column = |x: &[f64]| x.iter().copied().skip(width - 1).step_by(width).collect();
            cell.value = column(&cell.value);
            cell.absolute = column(&cell.absolute);
            cell.sensitive = column(&cell.sensitive);
            for t in 0..sequence {
                let row = query.offset([b, t, head, 0])..query.offset([b, t, head, 0]) + qk_dim;
                let place = [b, t, head];
                advance(&mut cell, &key.data[row.clone()], &[1.0], input_gate.at(place), forget_gate.at(place));
                let products = query.data[row.clone()].iter().zip(&cell.value).map(|(q, n)| q * n);
                let den = products.sum::<f64>() / (qk_dim as f64).sqrt();
                ratios.push((den.abs() * cell.stabilizer.exp(), row));
            }
        }
    }
    ratios
}
