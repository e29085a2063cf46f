//! The choice on the CPU: by sorting, in f64; the draw is the kernel's.

use super::{Chosen, HEAD, NAME, NONE, Options};
use crate::device::cpu::Cpu;
use crate::error::Result;
use crate::ops::dropout::philox::philox;
use crate::tensor::Tensor;

pub(super) fn choose(
    cpu: &Cpu,
    options: Options,
    state: &mut Tensor,
    logits: &Tensor,
    given: &Tensor,
) -> Result<Chosen> {
    let (rows, vocabulary, words) = (logits.sizes()[0], logits.sizes()[1], state.sizes()[1]);
    let (logits, given) = (logits.cpu::<f32>(NAME)?, given.cpu::<u32>(NAME)?);
    let state = state.cpu_mut::<u32>(NAME)?;
    let mut reports = Vec::with_capacity(rows);
    for (row, &fixed) in given.iter().enumerate() {
        let state = &mut state[row * words..][..words];
        let logits = &logits[row * vocabulary..][..vocabulary];
        reports.push(if fixed == NONE { draw(options, logits, state) } else { fixed });
    }
    let tokens: Vec<u32> = reports.iter().map(|&report| if report == NONE { 0 } else { report }).collect();
    let tensor = |values: &[u32]| Tensor::on_cpu(cpu, &[rows], |out: &mut [u32]| out.copy_from_slice(values));
    Ok(Chosen { tokens: tensor(&tokens)?, reports: tensor(&reports)? })
}

/// The token of one row.
fn draw(options: Options, logits: &[f32], state: &mut [u32]) -> u32 {
    if logits.iter().any(|x| !x.is_finite()) {
        return NONE;
    }
    let mut x = logits.to_vec();
    if options.repetition_penalty != 1.0 {
        let penalty = options.repetition_penalty as f32;
        for (token, x) in x.iter_mut().enumerate() {
            if state[HEAD + token / 32] >> (token % 32) & 1 == 1 {
                *x = if *x > 0.0 { *x / penalty } else { *x * penalty };
            }
        }
    }
    let best = (0..x.len()).fold(0, |best, token| if x[token] > x[best] { token } else { best });
    let token = if options.temperature == 0.0 { best } else { drawn(options, &x, x[best], state).unwrap_or(best) };
    state[2] = state[2].wrapping_add(1);
    state[HEAD + token / 32] |= 1 << (token % 32);
    token as u32
}

/// One of the kept tokens; `None` where rounding leaves none for the draw.
fn drawn(options: Options, x: &[f32], most: f32, state: &[u32]) -> Option<usize> {
    let weight = |x: f32| ((f64::from(x) - f64::from(most)) / options.temperature).exp();
    let mut order: Vec<f32> = x.to_vec();
    let mut threshold = f32::NEG_INFINITY;
    if let Some(k) = options.top_k.filter(|k| *k < x.len()) {
        let (_, kth, _) = order.select_nth_unstable_by(k - 1, |a, b| b.total_cmp(a));
        threshold = *kth;
    }
    if options.top_p < 1.0 {
        order.retain(|x| *x >= threshold);
        order.sort_by(|a, b| b.total_cmp(a));
        let wanted = options.top_p * order.iter().map(|x| weight(*x)).sum::<f64>();
        let mut sum = 0.0;
        // Equal logits are kept together: what counts is the logit at which the sum is reached.
        threshold = order
            .iter()
            .find(|x| {
                sum += weight(**x);
                sum >= wanted
            })
            .or(order.last())
            .copied()
            .unwrap_or(threshold);
    }
    let kept = || x.iter().enumerate().filter(|(_, x)| **x >= threshold).map(|(token, x)| (token, weight(*x)));
    let all: f64 = kept().map(|(_, weight)| weight).sum();
    let words = philox([state[2], 0, 0, 0], [state[0], state[1]]);
    let mut left = f64::from(words[0] >> 8) / f64::from(1 << 24) * all;
    kept()
        .find(|(_, weight)| {
            let here = left < *weight;
            left -= weight;
            here
        })
        .map(|(token, _)| token)
}
