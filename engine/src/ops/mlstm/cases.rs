//! Cases for the checks: chunk sizes, ragged lengths, heads of any width, wide gates, with and without states.

use super::Mlstm;
use crate::check::{Case, Draw, Input};

/// ε is 0: only then is it exact that the stabiliser's gradient is left out.
pub(crate) fn draw(draw: &mut Draw) -> Case {
    let chunk_size = draw.choose(&[16, 17, 32, 64, 100, 256]);
    let (batch, heads) = (draw.number(1..=2), draw.number(1..=3));
    let (qk_dim, v_dim) = (draw.size(16, 96), draw.size(16, 96));
    let room = (draw.elements / (batch * heads * qk_dim.max(v_dim))).max(1);
    let sequence = draw.size(32, room);
    let operation = Mlstm { chunk_size, epsilon: 0.0, final_state: draw.coin() };
    // Queries and keys away from a mean of 0, where den would come close to its floor.
    let shift = draw.choose(&[0.0, 0.5, 1.0]);
    let query = draw.normals(&[batch, sequence, heads, qk_dim], shift, 1.0);
    let key = draw.normals(&[batch, sequence, heads, qk_dim], shift, 1.0);
    let value = draw.normals(&[batch, sequence, heads, v_dim], 0.0, 1.0);
    let gates = [batch, sequence, heads];
    let (input_gate, forget_gate) = match draw.number(0..=2) {
        0 => (draw.normals(&gates, 0.0, 1.0), draw.normals(&gates, 3.0, 1.0)),
        1 => (draw.normals(&gates, -10.0, 0.1), draw.uniform(&gates, 3.0, 6.0)),
        _ => (draw.uniform(&gates, -15.0, 15.0), draw.uniform(&gates, -15.0, 15.0)),
    };
    let mut inputs: Vec<Input> = vec![query, key, value, input_gate, forget_gate];
    if draw.coin() {
        inputs.push(draw.normals(&[batch, heads, qk_dim, v_dim], 0.0, 1.0));
        inputs.push(draw.normals(&[batch, heads, qk_dim], shift, 1.0));
        inputs.push(draw.normals(&[batch, heads], 0.0, 1.0));
    }
    Case::new(operation, inputs)
}
