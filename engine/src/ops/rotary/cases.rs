//! Cases for the checks: head sizes with and without whole vectors, positions that do not start at 0.

use super::{Rotary, RotaryTables};
use crate::check::{Case, Draw, Input};

/// Cases in f16.
pub(crate) fn draw_half(draw: &mut Draw) -> Case {
    let mut case = self::draw(draw);
    case.inputs = case.inputs.into_iter().map(Input::half).collect();
    case
}

pub(crate) fn draw(draw: &mut Draw) -> Case {
    let head_dim = 2 * draw.size(16, (draw.elements / 2).min(128));
    let heads = draw.number(1..=3);
    let sequence = draw.size(16, draw.elements / head_dim / heads);
    let batch = draw.number(1..=2);
    let first_position = if draw.coin() { 0 } else { draw.number(1..=5000) };
    let theta = draw.choose(&[1e4, 5e5]);
    // Tables that begin earlier and end later than the sequence, as a model's do.
    let earlier = draw.number(0..=first_position.min(3));
    let tables = RotaryTables::new(theta, head_dim, first_position - earlier, earlier + sequence + draw.number(0..=3));
    let tables = tables.unwrap_or_else(|error| unreachable!("the sizes drawn are allowed: {error}"));
    let x = draw.normals(&[batch, sequence, heads, head_dim], 0.0, 1.0);
    Case::new(Rotary { tables, first_position }, vec![x])
}
