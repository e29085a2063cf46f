//! Cases for the checks: chunk sizes, ragged lengths, heads of any width, several kinds of gates, with and without states.
//! Gates at their extremes, where one position outweighs all others, have a test of their own.

use super::Mlstm;
use super::definition::floor_ratios;
use crate::check::{Case, Draw, Input};

/// ε is 0: only then is it exact that the stabiliser's gradient is left out.
pub(crate) fn draw(draw: &mut Draw) -> Case {
    let chunk_size = draw.choose(&[16, 17, 32, 64, 100, 256]);
    let (batch, heads) = (draw.number(1..=2), draw.number(1..=2));
    let most = ((draw.elements / (2 * batch * heads)) as f64).sqrt() as usize;
    // With one key dimension, or one position and no state, h does not depend on the query: its gradient is what rounding
    // leaves of 0, which no bound made from its size describes.
    let (qk_dim, v_dim) = (draw.size(16, most.min(70)).max(2), draw.size(16, most.min(70)));
    let sequence = draw.size(32, draw.elements / (batch * heads * qk_dim.max(v_dim))).max(2);
    let operation = Mlstm { chunk_size, epsilon: 0.0, final_state: draw.coin() };
    let shift = draw.choose(&[0.0, 0.5, 1.0]);
    let query = draw.normals(&[batch, sequence, heads, qk_dim], shift, 1.0);
    let key = draw.normals(&[batch, sequence, heads, qk_dim], shift, 1.0);
    let value = draw.normals(&[batch, sequence, heads, v_dim], 0.0, 1.0);
    let gates = [batch, sequence, heads];
    let (input_gate, forget_gate) = match draw.number(0..=2) {
        0 => (draw.normals(&gates, 0.0, 1.0), draw.normals(&gates, 3.0, 1.0)),
        1 => (draw.normals(&gates, -10.0, 0.1), draw.uniform(&gates, 3.0, 6.0)),
        _ => (draw.uniform(&gates, -3.0, 3.0), draw.uniform(&gates, -2.0, 15.0)),
    };
    let mut inputs: Vec<Input> = vec![query, key, value, input_gate, forget_gate];
    if draw.coin() {
        inputs.push(draw.normals(&[batch, heads, qk_dim, v_dim], 0.0, 1.0));
        inputs.push(draw.normals(&[batch, heads, qk_dim], shift, 1.0));
        inputs.push(draw.normals(&[batch, heads], 0.0, 1.0));
    }
    keep_off_the_floor(&mut inputs);
    // Without a state the first forget gate has no effect and its gradient, a suffix sum over the whole sequence, is what
    // rounding leaves of terms that cancel; with one, terms cancel in part. Measured over 300 cases on the CPU and on
    // lavapipe: 78 times the bound without a state, 6.8 with one, 0.53 for all other gradients.
    let slack = if inputs.len() == 5 { 200.0 } else { 16.0 };
    Case::new(operation, inputs).with_slack(4, slack)
}

/// Finite differences do not see past the kink of max(|den|, exp(−m)): makes queries longer where the two are close.
fn keep_off_the_floor(inputs: &mut [Input]) {
    const CLOSE: f64 = 0.2;
    let arrays: Vec<_> = inputs.iter().map(|input| input.array.clone()).collect();
    for (ratio, row) in floor_ratios(&arrays) {
        if (ratio - 1.0).abs() < CLOSE {
            for x in &mut inputs[0].array.data[row] {
                *x = f64::from((*x * (1.0 + 3.0 * CLOSE)) as f32);
            }
        }
    }
}
