//! The recurrence, one position after the other.
//!
//! Beside C runs the sum of the absolute values of its terms, and that sum with each term times 1 + |its exponent's
//! parts|: an error ε·|x| in an exponent x is a relative error of its exponential.

use super::{Mlstm, optional};
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
    let [query, key, value, ..] = inputs else { return Vec::new() };
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
            let mut cell = start(operation, inputs, b, head, qk_dim, v_dim);
            for t in 0..sequence {
                let row = |x: &Array, width: usize| {
                    let first = x.offset([b, t, head, 0]);
                    x.data[first..first + width].to_vec()
                };
                let (q, k, mut v) = (row(query, qk_dim), row(key, qk_dim), row(value, v_dim));
                v.push(1.0);
                advance(&mut cell, &k, &v, gates(operation, inputs, [b, t, head]));
                let read = |from: &[f64], column: usize, with: fn(f64) -> f64| -> f64 {
                    scale * (0..qk_dim).map(|a| with(q[a]) * from[a * width + column]).sum::<f64>()
                };
                let m = cell.stabilizer;
                let bound =
                    |column| read(&cell.sensitive, column, f64::abs) + m.abs() * read(&cell.absolute, column, f64::abs);
                let den = read(&cell.value, v_dim, |x| x);
                let (divisor, divisor_terms) = if operation.input_gate.normalizes() {
                    let terms = bound(v_dim).max((1.0 + m.abs()) * (-m).exp());
                    (den.abs().max((-m).exp()) + operation.epsilon, terms)
                } else {
                    (1.0, 0.0)
                };
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

fn start(operation: &Mlstm, inputs: &[Array], b: usize, head: usize, qk_dim: usize, v_dim: usize) -> Cell {
    let mut value = vec![0.0; qk_dim * (v_dim + 1)];
    let mut m = 0.0;
    if let (Some([memory, normalizer, stabilizer]), _) = optional(inputs) {
        for a in 0..qk_dim {
            for column in 0..v_dim {
                value[a * (v_dim + 1) + column] = memory.at([b, head, a, column]);
            }
            value[a * (v_dim + 1) + v_dim] = normalizer.at([b, head, a]);
        }
        m = if operation.input_gate.is_sigmoid() { 0.0 } else { stabilizer.at([b, head]) };
    }
    let absolute: Vec<f64> = value.iter().map(|x| x.abs()).collect();
    let sensitive = absolute.iter().map(|x| x * (1.0 + m.abs())).collect();
    Cell { value, absolute, sensitive, stabilizer: m, stabilizer_terms: m.abs() }
}

/// The gates of one position.
struct Gates {
    log_input: f64,
    log_forget: f64,
    /// Whether m is the larger exponent (else it is 0).
    stabilized: bool,
    /// Whether the state before is forgotten.
    reset: bool,
}

fn gates(operation: &Mlstm, inputs: &[Array], place: [usize; 3]) -> Gates {
    let log_sigmoid = |x: f64| x.min(0.0) - (-x.abs()).exp().ln_1p();
    let (input_gate, sigmoid) = (inputs[3].at(place), operation.input_gate.is_sigmoid());
    Gates {
        log_input: if sigmoid { log_sigmoid(input_gate) } else { input_gate },
        log_forget: log_sigmoid(inputs[4].at(place)),
        stabilized: !sigmoid,
        reset: optional(inputs).1.is_some_and(|reset| reset.at([place[0], place[1]]) != 0.0),
    }
}

/// m, C⁺ ← the next.
fn advance(cell: &mut Cell, k: &[f64], v: &[f64], gates: Gates) {
    let Gates { log_input, log_forget, stabilized, reset } = gates;
    let kept = log_forget + cell.stabilizer;
    let m = match (stabilized, reset) {
        (false, _) => 0.0,
        (true, false) => kept.max(log_input),
        (true, true) => log_input,
    };
    let forget = if reset { 0.0 } else { (kept - m).exp() };
    let input = (log_input - m).exp();
    let width = v.len();
    for (a, &k) in k.iter().enumerate() {
        for (column, &v) in v.iter().enumerate() {
            let place = a * width + column;
            let term = input * k * v;
            let absolute = cell.absolute[place];
            cell.sensitive[place] =
                forget * (cell.sensitive[place] + log_forget.abs() * absolute) + (1.0 + log_input.abs()) * term.abs();
            cell.absolute[place] = forget * absolute + term.abs();
            cell.value[place] = forget * cell.value[place] + term;
        }
    }
    cell.stabilizer_terms = match (stabilized, reset || log_input >= kept) {
        (false, _) => 0.0,
        (true, true) => log_input.abs(),
        (true, false) => log_forget.abs() + cell.stabilizer_terms,
    };
    cell.stabilizer = m;
}

/// |den_t| / exp(−m_t) of every position, with the place of the position's query.
pub(super) fn floor_ratios(operation: &Mlstm, inputs: &[Array]) -> Vec<(f64, std::ops::Range<usize>)> {
    let [query, key, ..] = inputs else { return Vec::new() };
    let &[batch, sequence, heads, qk_dim] = query.sizes.as_slice() else { return Vec::new() };
    let mut ratios = Vec::new();
    for b in 0..batch {
        for head in 0..heads {
            let v_dim = optional(inputs).0.map_or(0, |[memory, ..]| memory.last());
            let mut cell = start(operation, inputs, b, head, qk_dim, v_dim);
            // Only the column of n.
            let width = cell.value.len() / qk_dim;
            let column = |x: &[f64]| x.iter().copied().skip(width - 1).step_by(width).collect();
            cell.value = column(&cell.value);
            cell.absolute = column(&cell.absolute);
            cell.sensitive = column(&cell.sensitive);
            for t in 0..sequence {
                let row = query.offset([b, t, head, 0])..query.offset([b, t, head, 0]) + qk_dim;
                advance(&mut cell, &key.data[row.clone()], &[1.0], gates(operation, inputs, [b, t, head]));
                let products = query.data[row.clone()].iter().zip(&cell.value).map(|(q, n)| q * n);
                let den = products.sum::<f64>() / (qk_dim as f64).sqrt();
                ratios.push((den.abs() * cell.stabilizer.exp(), row));
            }
        }
    }
    ratios
}
