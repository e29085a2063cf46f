//! Attention with its whole matrix, row by row.

use super::AttentionOptions;
use crate::definition::{Array, Defined};

pub(super) fn define(options: AttentionOptions, inputs: &[Array]) -> Vec<Defined> {
    let [query, key, value] = inputs else { return Vec::new() };
    let &[batch, queries, heads, head_dim] = &query.sizes[..] else { return Vec::new() };
    let &[_, capacity, kv_heads, _] = &key.sizes[..] else { return Vec::new() };
    let keys = options.key_length.unwrap_or(capacity);
    let scale = 1.0 / (head_dim as f64).sqrt();
    let (mut output, mut magnitude) = (vec![0.0; query.data.len()], vec![0.0; query.data.len()]);
    for b in 0..batch {
        for t in 0..queries {
            for head in 0..heads {
                let kv_head = head / (heads / kv_heads);
                let q = &query.data[query.offset([b, t, head, 0])..][..head_dim];
                let row = |array: &Array, j: usize| array.offset([b, j, kv_head, 0]);
                let visible = t + keys - queries + 1;
                let terms = |j: usize| q.iter().zip(&key.data[row(key, j)..]).map(|(q, k)| scale * q * k);
                let logits: Vec<f64> = (0..visible).map(|j| terms(j).sum()).collect();
                let most = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let weights: Vec<f64> = logits.iter().map(|logit| (logit - most).exp()).collect();
                let sum: f64 = weights.iter().sum();
                // The rounding of a logit, and of its distance to the largest, is a factor on its weight.
                let spread = (0..visible).map(|j| terms(j).map(f64::abs).sum::<f64>()).fold(0.0, f64::max);
                let start = query.offset([b, t, head, 0]);
                for (j, weight) in weights.iter().enumerate() {
                    let v = &value.data[row(value, j)..][..head_dim];
                    for (d, v) in v.iter().enumerate() {
                        output[start + d] += weight / sum * v;
                        magnitude[start + d] += weight / sum * v.abs() * (1.0 + spread);
                    }
                }
            }
        }
    }
    vec![Defined { value: Array::new(&query.sizes, output), magnitude, terms: keys + head_dim }]
}
