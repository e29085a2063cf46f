//! Attention with its whole matrix, row by row.

use super::AttentionOptions;
use crate::definition::{Array, Defined};

/// The output, with S for each element o[d] = Σ_j p[j] v[j, d]. A score s[j] is rounded in proportion to
/// T[j] = Σ_d |q[d] k[j, d]| / √D, and x[j] = s[j] − m and its exponential in proportion to |x[j]|: together a relative
/// error e[j] = T[j] + |x[j]| of the weight. The sum that the weights are divided by has the mean of these errors. So
/// S[d] = Σ_j p[j] |v[j, d]| (1 + e[j]) + |o[d]| Σ_j p[j] e[j].
pub(super) fn define(options: AttentionOptions, inputs: &[Array]) -> Vec<Defined> {
    let [query, key, value, documents @ ..] = inputs else { return Vec::new() };
    let &[batch, queries, heads, head_dim] = &query.sizes[..] else { return Vec::new() };
    let &[_, capacity, kv_heads, _] = &key.sizes[..] else { return Vec::new() };
    let keys = options.key_length.unwrap_or(capacity);
    let scale = 1.0 / (head_dim as f64).sqrt();
    let (mut output, mut magnitude) = (vec![0.0; query.data.len()], vec![0.0; query.data.len()]);
    for b in 0..batch {
        for t in 0..queries {
            let first = documents.first().map_or(0, |first_key| first_key.at([b, t]) as usize);
            for head in 0..heads {
                let kv_head = head / (heads / kv_heads);
                let q = &query.data[query.offset([b, t, head, 0])..][..head_dim];
                let row = |array: &Array, j: usize| array.offset([b, j, kv_head, 0]);
                let seen = first..t + keys - queries + 1;
                let terms = |j: usize| q.iter().zip(&key.data[row(key, j)..]).map(|(q, k)| scale * q * k);
                let scores: Vec<f64> = seen.clone().map(|j| terms(j).sum()).collect();
                let most = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let weights: Vec<f64> = scores.iter().map(|score| (score - most).exp()).collect();
                let sum: f64 = weights.iter().sum();
                let start = query.offset([b, t, head, 0]);
                let mut mean_error = 0.0;
                for ((j, weight), score) in seen.zip(weights).zip(scores) {
                    let p = weight / sum;
                    let error = terms(j).map(f64::abs).sum::<f64>() + most - score;
                    mean_error += p * error;
                    for (d, v) in value.data[row(value, j)..][..head_dim].iter().enumerate() {
                        output[start + d] += p * v;
                        magnitude[start + d] += p * v.abs() * (1.0 + error);
                    }
                }
                for d in start..start + head_dim {
                    magnitude[d] += output[d].abs() * mean_error;
                }
            }
        }
    }
    vec![Defined { value: Array::new(&query.sizes, output), magnitude, terms: keys + head_dim }]
}
