//! Cases for the checks: grouped heads, more keys than queries, unused rows, head sizes around the tiles' classes, large
//! logits, documents. In mixed precision sequences and head sizes that the matrix units take are among them.

use super::{Attention, AttentionOptions};
use crate::check::{Case, Draw, Input};

pub(crate) fn draw(draw: &mut Draw) -> Case {
    let classes = [1, 3, 8, 16, 31, 32, 33, 64, 80, 96, 128, 160, 255, 256];
    let head_dim = draw.choose(&classes).min((draw.elements / 4).max(1));
    let (kv_heads, group) = (draw.number(1..=2), draw.number(1..=3));
    let batch = draw.number(1..=2);
    // Logits have the square of the deviation as their deviation: from ±80 up to ±300 in the widest case, which needs rows
    // enough that some have more than one weight: where one weight is 1, the gradients of query and key vanish.
    let (options, inputs) = parts(draw, [batch, kv_heads, group, head_dim], 32, &[0.5, 1.0, 4.0, 9.0]);
    Case::new(Attention { options, documents: inputs.len() == 4 }, inputs)
}

/// Cases in mixed precision. On the matrix units, which take a multiple of 16 as head_dim from 64 queries on, weights and
/// gradients of scores are rounded to f16 between the products; everywhere the output is, before δ is made from it.
pub(crate) fn draw_half(draw: &mut Draw) -> Case {
    let head_dim = draw.choose(&[16, 31, 48, 64, 64, 64, 80, 128, 128, 256]).min((draw.elements / 4).max(1));
    // Few heads, so that some sequences are long.
    let (kv_heads, group) = draw.choose(&[(1, 1), (1, 1), (1, 2), (2, 1), (2, 3)]);
    let (options, inputs) = parts(draw, [1, kv_heads, group, head_dim], 64, &[0.5, 1.0, 2.0]);
    let inputs: Vec<Input> = inputs.into_iter().map(|input| if input.index { input } else { input.half() }).collect();
    Case::new(Attention { options, documents: inputs.len() == 4 }, inputs).with_half_rounding(HALF_ROUNDING)
}

/// In rounding units of f16 times the l2 magnitude. Measured on lavapipe: 0.72 of the bound with 2.0, for the kernels of the
/// matrix units with the matrices by plain code on 70 to 131 queries; 0.46 for the plain ones.
pub(super) const HALF_ROUNDING: f64 = 4.0;

/// Options and inputs, the fourth for documents. Sequences are drawn around tiles of `tile`; of the deviations of query and
/// key the first two are for short ones.
fn parts(
    draw: &mut Draw,
    [batch, kv_heads, group, head_dim]: [usize; 4],
    tile: usize,
    deviations: &[f64],
) -> (AttentionOptions, Vec<Input>) {
    let most = draw.elements / (head_dim * kv_heads * group * batch);
    let queries = draw.size(tile, most);
    let earlier = if draw.coin() { 0 } else { draw.number(1..=40).min(most) };
    let unused = if draw.coin() { 0 } else { draw.number(1..=5) };
    let keys = queries + earlier;
    let options = AttentionOptions { key_length: (unused > 0).then_some(keys) };
    let deviation = draw.choose(if queries >= 8 { deviations } else { &deviations[..2] });
    let query = draw.normals(&[batch, queries, kv_heads * group, head_dim], 0.0, deviation);
    let key = draw.normals(&[batch, keys + unused, kv_heads, head_dim], 0.0, deviation);
    let value = draw.normals(&[batch, keys + unused, kv_heads, head_dim], 0.0, 1.0);
    let documents = draw.coin();
    let mut inputs = vec![query, key, value];
    if documents {
        inputs.push(first_key(draw, [batch, queries], earlier));
    }
    (options, inputs)
}

/// The first key of each query: documents that follow each other, a sliding window, or any numbers.
pub(crate) fn first_key(draw: &mut Draw, [batch, queries]: [usize; 2], offset: usize) -> Input {
    let kind = draw.number(0..=2);
    let length = draw.choose(&[1, 4, 33, 70]);
    let mut first = 0;
    let mut data = Vec::new();
    for last in (0..batch).flat_map(|_| offset..offset + queries) {
        data.push(match kind {
            0 => {
                if last == offset {
                    first = draw.number(0..=offset);
                } else if draw.number(1..=length) == 1 {
                    first = last;
                }
                first
            }
            1 => last.saturating_sub(length),
            _ => draw.number(0..=last),
        });
    }
    Input::index(&[batch, queries], &data)
}
