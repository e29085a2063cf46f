//! The cell twice more, in f64 and as plain as can be: as a recurrence whose every step is differentiated, m and its maxima
//! included, and as one matrix over all positions. Neither shares a line with the operation or with its definition.

use super::super::{InputGate, Mlstm, optional};
use crate::check::Input;

/// h, then C, n, m of the final state; and the gradients of the eight float inputs.
pub(super) struct Result {
    pub outputs: [Vec<f64>; 4],
    pub gradients: [Vec<f64>; 8],
}

/// One recurrence: its rows, its gates and what comes from above.
struct Cell {
    q: Vec<Vec<f64>>,
    k: Vec<Vec<f64>>,
    v: Vec<Vec<f64>>,
    dh: Vec<Vec<f64>>,
    log_input: Vec<f64>,
    log_forget: Vec<f64>,
    reset: Vec<bool>,
    /// C with n as its last column; m.
    before: (Vec<Vec<f64>>, f64),
    d_after: (Vec<Vec<f64>>, f64),
    scale: f64,
    gate: InputGate,
}

/// What a form computes of one recurrence; gates' gradients are those of their logarithms.
struct Computed {
    h: Vec<Vec<f64>>,
    after: (Vec<Vec<f64>>, f64),
    d_q: Vec<Vec<f64>>,
    d_k: Vec<Vec<f64>>,
    d_v: Vec<Vec<f64>>,
    d_log_input: Vec<f64>,
    d_log_forget: Vec<f64>,
    d_before: (Vec<Vec<f64>>, f64),
}

fn dot(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(x, y)| x * y).sum()
}

/// to ← to + weight·x
fn add(to: &mut [f64], weight: f64, x: &[f64]) {
    to.iter_mut().zip(x).for_each(|(to, x)| *to += weight * x);
}

/// M ← M + weight·x yᵀ
fn add_outer(to: &mut [Vec<f64>], weight: f64, x: &[f64], y: &[f64]) {
    to.iter_mut().zip(x).for_each(|(row, x)| add(row, weight * x, y));
}

/// M y and Mᵀ x
fn times(m: &[Vec<f64>], y: &[f64]) -> Vec<f64> {
    m.iter().map(|row| dot(row, y)).collect()
}

fn transposed_times(m: &[Vec<f64>], x: &[f64]) -> Vec<f64> {
    let mut result = vec![0.0; m[0].len()];
    m.iter().zip(x).for_each(|(row, &x)| add(&mut result, x, row));
    result
}

fn inner(x: &[Vec<f64>], y: &[Vec<f64>]) -> f64 {
    x.iter().zip(y).map(|(x, y)| dot(x, y)).sum()
}

fn zeros(like: &[Vec<f64>]) -> Vec<Vec<f64>> {
    like.iter().map(|row| vec![0.0; row.len()]).collect()
}

fn with_one(v: &[f64]) -> Vec<f64> {
    [v, &[1.0]].concat()
}

/// [X, y] and the gradient of the floor for a position whose [num, den] and floor are given; ε is 0.
fn upstream(cell: &Cell, dh: &[f64], num: &[f64], floor: f64) -> (Vec<f64>, f64) {
    let (num, den) = (&num[..num.len() - 1], num[num.len() - 1]);
    if cell.gate == (InputGate::Sigmoid { normalize: false }) {
        return ([dh, &[0.0]].concat(), 0.0);
    }
    let divisor = den.abs().max(floor);
    let x: Vec<f64> = dh.iter().map(|d| d / divisor).collect();
    let d_divisor = -dot(&x, num) / divisor;
    let (d_den, d_floor) = if den.abs() >= floor { (d_divisor * den.signum(), 0.0) } else { (0.0, d_divisor) };
    ([x, vec![d_den]].concat(), d_floor)
}

fn output(cell: &Cell, num: &[f64], floor: f64) -> Vec<f64> {
    let (num, den) = (&num[..num.len() - 1], num[num.len() - 1]);
    let raw = cell.gate == InputGate::Sigmoid { normalize: false };
    let divisor = if raw { 1.0 } else { den.abs().max(floor) };
    num.iter().map(|x| x / divisor).collect()
}

fn recurrence(cell: &Cell) -> Computed {
    let (length, exponential) = (cell.q.len(), cell.gate == InputGate::Exponential);
    let mut states = vec![cell.before.clone()];
    let (mut factors, mut h, mut nums) = (Vec::new(), Vec::new(), Vec::new());
    for t in 0..length {
        let (before, m_before) = &states[t];
        let kept = if cell.reset[t] { f64::NEG_INFINITY } else { cell.log_forget[t] + m_before };
        let m = if exponential { kept.max(cell.log_input[t]) } else { 0.0 };
        let (forget, input) = ((kept - m).exp(), (cell.log_input[t] - m).exp());
        let mut state: Vec<Vec<f64>> = before
            .iter()
            .map(|row| row.iter().map(|x| if cell.reset[t] { 0.0 } else { forget * x }).collect())
            .collect();
        add_outer(&mut state, input, &cell.k[t], &with_one(&cell.v[t]));
        let num: Vec<f64> = transposed_times(&state, &cell.q[t]).into_iter().map(|x| cell.scale * x).collect();
        h.push(output(cell, &num, (-m).exp()));
        nums.push(num);
        factors.push((forget, input, cell.log_input[t] >= kept));
        states.push((state, m));
    }
    let (mut d_q, mut d_k, mut d_v) = (zeros(&cell.q), zeros(&cell.k), zeros(&cell.v));
    let (mut d_log_input, mut d_log_forget) = (vec![0.0; length], vec![0.0; length]);
    let (mut d_state, mut d_m) = cell.d_after.clone();
    for t in (0..length).rev() {
        let ((before, _), (state, m), (forget, input, made)) = (&states[t], &states[t + 1], factors[t]);
        let floor = (-m).exp();
        let (x, d_floor) = upstream(cell, &cell.dh[t], &nums[t], floor);
        d_m -= d_floor * floor;
        add(&mut d_q[t], cell.scale, &times(state, &x));
        add_outer(&mut d_state, cell.scale, &cell.q[t], &x);
        let v = with_one(&cell.v[t]);
        let d_row = times(&d_state, &v);
        add(&mut d_k[t], input, &d_row);
        add(&mut d_v[t], input, &transposed_times(&d_state, &cell.k[t])[..cell.v[t].len()]);
        let d_forget = if cell.reset[t] { 0.0 } else { forget * inner(before, &d_state) };
        let d_input = input * dot(&cell.k[t], &d_row);
        d_m -= d_forget + d_input;
        let (to_input, to_kept) = match (exponential, made) {
            (false, _) => (0.0, 0.0),
            (true, true) => (d_m, 0.0),
            (true, false) => (0.0, d_m),
        };
        d_log_input[t] = d_input + to_input;
        d_log_forget[t] = d_forget + to_kept;
        d_m = if exponential { d_log_forget[t] } else { 0.0 };
        let weight = if cell.reset[t] { 0.0 } else { forget };
        d_state.iter_mut().flatten().for_each(|x| *x *= weight);
    }
    let after = states.pop().unwrap();
    Computed { h, after, d_q, d_k, d_v, d_log_input, d_log_forget, d_before: (d_state, d_m) }
}

/// Row S stands for the final state, column 0 for the initial one and column j + 1 for position j.
fn matrix(cell: &Cell) -> Computed {
    let (length, exponential) = (cell.q.len(), cell.gate == InputGate::Exponential);
    let log_weight = |row: usize, column: usize| -> f64 {
        let last = row.min(length - 1);
        if (column..=last).any(|r| cell.reset[r]) {
            return f64::NEG_INFINITY;
        }
        let own = if column == 0 { cell.before.1 } else { cell.log_input[column - 1] };
        cell.log_forget[column..=last].iter().sum::<f64>() + own
    };
    let columns = |row: usize| row.min(length - 1) + 2;
    let logs: Vec<Vec<f64>> =
        (0..=length).map(|row| (0..columns(row)).map(|column| log_weight(row, column)).collect()).collect();
    let m: Vec<f64> = logs
        .iter()
        .map(|row| if exponential { row.iter().copied().fold(f64::NEG_INFINITY, f64::max) } else { 0.0 })
        .collect();
    let weights: Vec<Vec<f64>> =
        logs.iter().zip(&m).map(|(row, m)| row.iter().map(|x| (x - m).exp()).collect()).collect();
    let (mut d_q, mut d_k, mut d_v) = (zeros(&cell.q), zeros(&cell.k), zeros(&cell.v));
    let mut d_logs: Vec<Vec<f64>> = logs.iter().map(|row| vec![0.0; row.len()]).collect();
    let mut d_before = zeros(&cell.before.0);
    let mut h = Vec::new();
    let values: Vec<Vec<f64>> = cell.v.iter().map(|v| with_one(v)).collect();
    for t in 0..length {
        let from_before = transposed_times(&cell.before.0, &cell.q[t]);
        let mut num = vec![0.0; values[0].len()];
        add(&mut num, cell.scale * weights[t][0], &from_before);
        for j in 0..=t {
            add(&mut num, cell.scale * weights[t][j + 1] * dot(&cell.q[t], &cell.k[j]), &values[j]);
        }
        let floor = (-m[t]).exp();
        h.push(output(cell, &num, floor));
        let (x, _) = upstream(cell, &cell.dh[t], &num, floor);
        let weight = cell.scale * weights[t][0];
        d_logs[t][0] = weight * dot(&from_before, &x);
        add(&mut d_q[t], weight, &times(&cell.before.0, &x));
        add_outer(&mut d_before, weight, &cell.q[t], &x);
        for j in 0..=t {
            let weight = cell.scale * weights[t][j + 1];
            let (score, along) = (dot(&cell.q[t], &cell.k[j]), dot(&x, &values[j]));
            d_logs[t][j + 1] = weight * score * along;
            add(&mut d_q[t], weight * along, &cell.k[j]);
            add(&mut d_k[j], weight * along, &cell.q[t]);
            add(&mut d_v[j], weight * score, &x[..cell.v[j].len()]);
        }
    }
    // The final state.
    let (d_after, d_m) = (&cell.d_after.0, cell.d_after.1);
    let last = &weights[length];
    let mut after: Vec<Vec<f64>> = zeros(&cell.before.0);
    after.iter_mut().zip(&cell.before.0).for_each(|(to, x)| add(to, last[0], x));
    d_before.iter_mut().zip(d_after).for_each(|(to, x)| add(to, last[0], x));
    d_logs[length][0] = last[0] * inner(&cell.before.0, d_after);
    for j in 0..length {
        add_outer(&mut after, last[j + 1], &cell.k[j], &values[j]);
        let d_row = times(d_after, &values[j]);
        d_logs[length][j + 1] = last[j + 1] * dot(&cell.k[j], &d_row);
        add(&mut d_k[j], last[j + 1], &d_row);
        add(&mut d_v[j], last[j + 1], &transposed_times(d_after, &cell.k[j])[..cell.v[j].len()]);
    }
    if exponential {
        // m_N is the largest exponent: to it goes what moves m_N.
        let remaining = d_m - d_logs[length].iter().sum::<f64>();
        let most = logs[length].iter().rposition(|&x| x == m[length]).unwrap();
        d_logs[length][most] += remaining;
    }
    let column = |column: usize| d_logs.iter().filter_map(|row| row.get(column)).sum::<f64>();
    // Pairs of a row at r or behind and a column before it.
    let across = |r: usize| d_logs[r..].iter().map(|row| row[..=r].iter().sum::<f64>()).sum::<f64>();
    Computed {
        h,
        after: (after, m[length]),
        d_log_input: (0..length).map(|j| column(j + 1)).collect(),
        d_log_forget: (0..length).map(across).collect(),
        d_before: (d_before, if exponential { column(0) } else { 0.0 }),
        d_q,
        d_k,
        d_v,
    }
}

fn sigmoid(x: f64) -> f64 {
    let e = (-x.abs()).exp();
    (if x < 0.0 { e } else { 1.0 }) / (1.0 + e)
}

fn log_sigmoid(x: f64) -> f64 {
    x.min(0.0) - (-x.abs()).exp().ln_1p()
}

/// Both forms of a problem: the recurrence and the matrix. `upstream` are gradients of h and, or not, of C, n, m.
pub(super) fn both(operation: &Mlstm, inputs: &[Input], upstream: &[Input]) -> [Result; 2] {
    [recurrence, matrix].map(|form| evaluate(operation, inputs, upstream, form))
}

fn evaluate(operation: &Mlstm, inputs: &[Input], upstream: &[Input], form: fn(&Cell) -> Computed) -> Result {
    let &[batch, length, heads, qk_dim] = inputs[0].array.sizes.as_slice() else { panic!("query has four dimensions") };
    let v_dim = inputs[2].array.last();
    let (state, reset) = optional(inputs);
    let sizes = [qk_dim, qk_dim, v_dim, 1, 1].map(|width| batch * length * heads * width);
    let cells = batch * heads;
    let state_sizes = [cells * qk_dim * v_dim, cells * qk_dim, cells];
    let mut result = Result {
        outputs: [sizes[2], state_sizes[0], state_sizes[1], state_sizes[2]].map(|count| vec![0.0; count]),
        gradients: std::array::from_fn(|place| vec![0.0; [&sizes[..], &state_sizes].concat()[place]]),
    };
    let gate = operation.input_gate;
    for index in 0..cells {
        let (b, head) = (index / heads, index % heads);
        let first = |t: usize, width: usize| ((b * length + t) * heads + head) * width;
        let rows = |data: &[f64], width: usize| -> Vec<Vec<f64>> {
            (0..length).map(|t| data[first(t, width)..][..width].to_vec()).collect()
        };
        let wide = |c: &[f64], n: &[f64]| -> Vec<Vec<f64>> {
            let row = |a: usize| [&c[(index * qk_dim + a) * v_dim..][..v_dim], &[n[index * qk_dim + a]]].concat();
            (0..qk_dim).map(row).collect()
        };
        let of_state = |parts: Option<[&Input; 3]>| match parts {
            Some([c, n, m]) => (wide(&c.array.data, &n.array.data), m.array.data[index]),
            None => (vec![vec![0.0; v_dim + 1]; qk_dim], 0.0),
        };
        let data = |place: usize| inputs[place].array.data.as_slice();
        let gates = |place: usize| (0..length).map(|t| data(place)[first(t, 1)]).collect::<Vec<_>>();
        let (i, f) = (gates(3), gates(4));
        let exponential = gate == InputGate::Exponential;
        let mut cell = Cell {
            q: rows(data(0), qk_dim),
            k: rows(data(1), qk_dim),
            v: rows(data(2), v_dim),
            dh: rows(&upstream[0].array.data, v_dim),
            log_input: i.iter().map(|&x| if exponential { x } else { log_sigmoid(x) }).collect(),
            log_forget: f.iter().map(|&x| log_sigmoid(x)).collect(),
            reset: (0..length).map(|t| reset.is_some_and(|x| x.array.data[b * length + t] != 0.0)).collect(),
            before: of_state(state),
            d_after: of_state(upstream.get(1..4).map(|d| [&d[0], &d[1], &d[2]])),
            scale: 1.0 / (qk_dim as f64).sqrt(),
            gate,
        };
        if !exponential {
            cell.before.1 = 0.0;
        }
        let computed = form(&cell);
        let mut put = |place: usize, width: usize, t: usize, row: &[f64]| {
            result.gradients[place][first(t, width)..][..width].copy_from_slice(row);
        };
        for t in 0..length {
            result.outputs[0][first(t, v_dim)..][..v_dim].copy_from_slice(&computed.h[t]);
            put(0, qk_dim, t, &computed.d_q[t]);
            put(1, qk_dim, t, &computed.d_k[t]);
            put(2, v_dim, t, &computed.d_v[t]);
            let slope = if exponential { 1.0 } else { sigmoid(-i[t]) };
            put(3, 1, t, &[slope * computed.d_log_input[t]]);
            put(4, 1, t, &[sigmoid(-f[t]) * computed.d_log_forget[t]]);
        }
        for a in 0..qk_dim {
            let row = index * qk_dim + a;
            for (to, from) in [
                (&mut result.outputs[1..3], &computed.after.0[a]),
                (&mut result.gradients[5..7], &computed.d_before.0[a]),
            ] {
                to[0][row * v_dim..][..v_dim].copy_from_slice(&from[..v_dim]);
                to[1][row] = from[v_dim];
            }
        }
        result.outputs[3][index] = computed.after.1;
        result.gradients[7][index] = computed.d_before.1;
    }
    result
}
