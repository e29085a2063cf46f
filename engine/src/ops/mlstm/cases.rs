//! Cases for the checks: chunk sizes, ragged lengths, heads of any width, several kinds of gates, with and without states and
//! resets. Gates at their extremes, where one position outweighs all others, have a test of their own.

use super::definition::floor_ratios;
use super::{InputGate, Mlstm, optional, units};
use crate::check::{Case, Draw, Input};

/// What a row of the table draws.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The exponential input gate.
    Exponential,
    /// The sigmoid input gate, h divided by the denominator or not.
    Sigmoid,
    /// Either gate over several documents.
    Documents,
}

/// A case in f32 and f64.
pub(crate) fn draw(kind: Kind, draw: &mut Draw) -> Case {
    draw_in(kind, draw, false)
}

/// A case whose query, key and value are f16. Three of four have heads that fit the matrix units.
pub(crate) fn draw_half(kind: Kind, draw: &mut Draw) -> Case {
    draw_in(kind, draw, true)
}

/// ε is 0: only then is it exact that the stabiliser's gradient is left out.
fn draw_in(kind: Kind, draw: &mut Draw, half: bool) -> Case {
    let chunk_size = draw.choose(&[16, 17, 32, 64, 100, 256]);
    let (mut batch, heads) = (draw.number(1..=2), draw.number(1..=2));
    let most = ((draw.elements / (2 * batch * heads)) as f64).sqrt() as usize;
    // With one key dimension, or one position and no state, h does not depend on the query: its gradient is what rounding
    // leaves of 0, which no bound made from its size describes. They have a test of their own.
    // Heads of more than 64 have kernels that compute 128 columns a workgroup.
    let tile = if draw.number(0..=3) == 0 { 64 } else { 16 };
    let (mut qk_dim, mut v_dim) = (draw.size(tile, most).max(2), draw.size(tile, most));
    if half && draw.number(0..=3) > 0 {
        // Every other larger case has heads so wide that a workgroup does not compute all their columns.
        let widest = if draw.elements >= 16_384 && draw.coin() {
            batch = 1;
            [144, 272]
        } else {
            [most.clamp(16, 80), most.clamp(16, 144)]
        };
        [qk_dim, v_dim] = widest.map(|widest| 16 * draw.number(1..=widest / 16));
    }
    let sequence = draw.size(32, draw.elements / (batch * heads * qk_dim.max(v_dim))).max(2);
    let input_gate = match kind {
        Kind::Exponential => InputGate::Exponential,
        Kind::Sigmoid => InputGate::Sigmoid { normalize: draw.coin() },
        Kind::Documents => draw.choose(&[InputGate::Exponential, InputGate::Sigmoid { normalize: true }]),
    };
    let operation = Mlstm { chunk_size, epsilon: 0.0, input_gate, final_state: draw.coin() };
    let shift = draw.choose(&[0.0, 0.5, 1.0]);
    let query = draw.normals(&[batch, sequence, heads, qk_dim], shift, 1.0);
    let key = draw.normals(&[batch, sequence, heads, qk_dim], shift, 1.0);
    let value = draw.normals(&[batch, sequence, heads, v_dim], 0.0, 1.0);
    let gates = [batch, sequence, heads];
    // Where h is not divided by den, n_0 moves only n_N: after gates that are nearly closed, by too little for finite
    // differences of a sum over all outputs.
    let kinds = if operation.input_gate.normalizes() { 2 } else { 1 };
    // Beside a state, given or asked for, what gates of a model's start (−10) let in is too little for them as well.
    let state_given = draw.coin();
    let start = if state_given || operation.final_state { -3.0 } else { -10.0 };
    let (input_gate, forget_gate) = match draw.number(0..=kinds) {
        0 => (draw.normals(&gates, 0.0, 1.0), draw.normals(&gates, 3.0, 1.0)),
        1 => (draw.normals(&gates, start, 0.1), draw.uniform(&gates, 3.0, 6.0)),
        _ => (draw.uniform(&gates, -3.0, 3.0), draw.uniform(&gates, -2.0, 15.0)),
    };
    let elements = |input: Input| if half { input.half() } else { input };
    let mut inputs: Vec<Input> = vec![elements(query), elements(key), elements(value), input_gate, forget_gate];
    if state_given {
        inputs.push(draw.normals(&[batch, heads, qk_dim, v_dim], 0.0, 1.0));
        inputs.push(draw.normals(&[batch, heads, qk_dim], shift, 1.0));
        inputs.push(draw.normals(&[batch, heads], 0.0, 1.0));
    }
    if kind == Kind::Documents {
        let share = draw.choose(&[0.02, 0.2, 0.7]);
        let resets = draw.uniform(&[batch, sequence], 0.0, 1.0).array.data;
        // Any number but 0 begins a document.
        let mut resets: Vec<usize> = resets.into_iter().map(|x| if x < share { 1 + sequence } else { 0 }).collect();
        // One forget gate at least has something to forget, or the gradients of all are 0 and the bound too.
        if resets.chunks(sequence).all(|resets| !resets[1..].contains(&0)) {
            resets[1] = 0;
        }
        inputs.push(Input::index(&[batch, sequence], &resets));
    }
    if operation.input_gate == InputGate::Exponential {
        keep_off_the_maximum(&mut inputs);
    }
    keep_off_the_floor(&operation, &mut inputs);
    // The forget gate's gradient is on a GPU the sum of differences of larger terms inside a chunk: 0.69 times the bound on
    // lavapipe over 300 cases, and 11 in tests/forms.rs, where gates are nearly closed.
    let mut case = Case::new(operation, inputs).with_slack(4, 8.0);
    if half && units::fits_heads(qk_dim, v_dim) {
        // Where the matrix units compute, X, scores and states are rounded as operands: see units.rs. Measured on an H100 over
        // 600 cases of each row: 0.24 of the bound in the forward; in the backward 1.3 for a forget gate, whose differences of larger
        // terms are rounded too, and, with all factors here, 0.952 at most. What the input gate needs without its 2, where no
        // final state is taken, was not measured.
        case = case.with_half_rounding(6.0).with_half_slack(3, 2.0).with_half_slack(4, 4.0);
    }
    if operation.input_gate.is_sigmoid() || !operation.final_state {
        return case;
    }
    // The final stabiliser's own gradient δ = dm_N − ⟨C⁺_N, dC⁺_N⟩ is added to the gradients of the gates that made m_N, and
    // where the last position outweighs all others it cancels what they have from C⁺_N. Measured over 2,000 cases on the CPU:
    // 12.8, 1.8 and 0.67 times the bound; without a final state 0.5. In f16 on an H100 3.5 for the input gate.
    case.with_slack(3, 32.0).with_slack(7, 2.0).with_half_slack(3, 8.0)
}

/// Finite differences do not see past the kink of m_t = max(lf_t + m_{t−1}, i_t) in the final state: lowers input gates where
/// the two are close.
fn keep_off_the_maximum(inputs: &mut [Input]) {
    const CLOSE: f64 = 0.05;
    let (forget_gate, state) = (inputs[4].array.clone(), optional(inputs).0.map(|[.., m]| m.array.data.clone()));
    let reset = optional(inputs).1.map(|reset| reset.array.clone());
    let &[batch, sequence, heads] = forget_gate.sizes.as_slice() else { return };
    for cell in 0..batch * heads {
        let (b, head) = (cell / heads, cell % heads);
        let mut m = state.as_ref().map_or(0.0, |m| m[cell]);
        for t in 0..sequence {
            let forget = forget_gate.at([b, t, head]);
            let kept = m + forget.min(0.0) - (-forget.abs()).exp().ln_1p();
            let gate = &mut inputs[3].array;
            let place = gate.offset([b, t, head]);
            if (kept - gate.data[place]).abs() < CLOSE {
                gate.data[place] = f64::from((kept - CLOSE) as f32);
            }
            let forgotten = reset.as_ref().is_some_and(|reset| reset.at([b, t]) != 0.0);
            m = if forgotten { gate.data[place] } else { kept.max(gate.data[place]) };
        }
    }
}

/// Finite differences do not see past the kink of max(|den|, exp(−m)): makes queries longer where the two are close.
fn keep_off_the_floor(operation: &Mlstm, inputs: &mut [Input]) {
    const CLOSE: f64 = 0.2;
    let arrays: Vec<_> = inputs.iter().map(|input| input.array.clone()).collect();
    for (ratio, row) in floor_ratios(operation, &arrays) {
        if (ratio - 1.0).abs() < CLOSE {
            for x in &mut inputs[0].array.data[row] {
                *x = f64::from((*x * (1.0 + 3.0 * CLOSE)) as f32);
            }
        }
    }
    if inputs[0].half {
        inputs[0] = inputs[0].clone().half();
    }
}
