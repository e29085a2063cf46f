//! Products: each way to finish them, with and without a norm before and a bias, rows and texts around what a team and a
//! workgroup have, short and long vectors.

use super::{copied, on_the_cpu, wrong_inputs};
use crate::check::{Case, Draw};
use crate::definition::{Array, Defined};
use crate::device::Gpu;
use crate::error::Result;
use crate::operation::Forward;
use crate::ops::decode::{Finish, PACK, Product};
use crate::tensor::{Spec, Tensor};

const NAME: &str = "decode_product";

/// Inputs: weight (f16), x, what the result holds before; then the norm's weight and the bias, where there are any.
#[derive(Debug, Clone, Copy)]
struct Step {
    finish: Finish,
    /// ε of the norm before.
    normed: Option<f64>,
    biased: bool,
    first: usize,
}

/// The inputs of a [`Step`] by what they are.
struct Parts<'a, T> {
    weight: &'a T,
    x: &'a T,
    before: &'a T,
    scale: Option<&'a T>,
    bias: Option<&'a T>,
}

impl Step {
    fn parts<'a, T>(self, inputs: &'a [T]) -> Option<Parts<'a, T>> {
        let [weight, x, before, rest @ ..] = inputs else { return None };
        let mut rest = rest.iter();
        let scale = self.normed.and_then(|_| rest.next());
        Some(Parts { weight, x, before, scale, bias: rest.next().filter(|_| self.biased) })
    }
}

impl Forward for Step {
    fn name(&self) -> &'static str {
        NAME
    }

    fn outputs(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        self.parts(inputs).map(|parts| vec![*parts.before]).ok_or_else(|| wrong_inputs(NAME, inputs.len()))
    }

    fn forward_cpu(&self, _: &[&Tensor]) -> Result<Vec<Tensor>> {
        on_the_cpu(NAME)
    }

    fn forward_gpu(&self, gpu: &Gpu, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        let Some(Parts { weight, x, before, scale, bias }) = self.parts(inputs) else {
            return Err(wrong_inputs(NAME, inputs.len()));
        };
        let mut y = copied(gpu, before)?;
        let normed = scale.copied().zip(self.normed);
        Product { weight, bias: bias.copied(), x, normed, finish: self.finish, first: self.first }.run(&mut y)?;
        Ok(vec![y])
    }

    /// A sum s of n terms has the sum S of their absolute values; the norm's factor is good to a few rounding units. SwiGLU
    /// makes g σ(g) u of two of them, whose derivatives by g and u are at most 1.1 |u| and |g σ(g)|, and WGSL allows exp an
    /// error of 3 + 2|g| units. A soft cap's derivative is at most 1.
    fn definition(&self, inputs: &[Array]) -> Vec<Defined> {
        let Some(Parts { weight, x, before, scale, bias }) = self.parts(inputs) else { return Vec::new() };
        let (depth, columns) = (x.last(), before.last());
        let outputs = if self.finish == Finish::SwiGlu { weight.sizes[0] / 2 } else { weight.sizes[0] };
        let mut value = before.data.clone();
        // What is not written is exact.
        let mut magnitude = vec![0.0; value.len()];
        for (text, x) in x.data.chunks(depth).enumerate() {
            let factor = self
                .normed
                .map_or(1.0, |epsilon| 1.0 / (x.iter().map(|x| x * x).sum::<f64>() / depth as f64 + epsilon).sqrt());
            let term = |row: usize, k: usize| {
                weight.data[row * depth + k] * x[k] * factor * scale.map_or(1.0, |scale| scale.data[k])
            };
            let sum = |row: usize| {
                let bias = bias.map_or(0.0, |bias| bias.data[row]);
                let terms = (0..depth).map(|k| term(row, k));
                let absolute = terms.clone().map(f64::abs).sum::<f64>() + bias.abs();
                (terms.sum::<f64>() + bias, absolute)
            };
            for row in 0..outputs {
                let at = text * columns + self.first + row;
                let (s, absolute) = sum(row);
                (value[at], magnitude[at]) = match self.finish {
                    Finish::Store => (s, absolute),
                    Finish::Add => (value[at] + s, value[at].abs() + absolute),
                    Finish::Cap(cap) => (cap * (s / cap).tanh(), absolute),
                    Finish::SwiGlu => {
                        let (u, of_u) = sum(row + outputs);
                        let silu = s / (1.0 + (-s).exp());
                        let terms = 1.1 * u.abs() * absolute + silu.abs() * of_u;
                        (silu * u, terms + (silu * u).abs() * (1.0 + s.abs()))
                    }
                };
            }
        }
        vec![Defined { value: Array::new(&before.sizes, value), magnitude, terms: depth }]
    }
}

pub(crate) fn draw(draw: &mut Draw) -> Case {
    let pair = draw.number(0..=3) == 0;
    let finish = match draw.number(0..=2) {
        _ if pair => Finish::SwiGlu,
        0 => Finish::Store,
        1 => Finish::Add,
        _ => Finish::Cap(draw.choose(&[0.5, 30.0])),
    };
    let normed = draw.coin().then(|| draw.choose(&[1e-6, 0.5]));
    let biased = draw.coin() && !matches!(finish, Finish::Cap(_));
    // Up to 256 packs, so that the largest teams have something to read.
    let packs = draw.size(32, draw.elements / PACK / 2);
    let packs = if draw.coin() { packs } else { draw.size(256, draw.elements / PACK / 2) };
    let depth = PACK * packs;
    let batch = draw.size(8, (draw.elements / depth).clamp(1, 19));
    let outputs = draw.size(64, (draw.elements / depth).max(2));
    let (before, behind) = (draw.number(0..=2), draw.number(0..=2));
    let columns = before + outputs + behind;
    let rows = if pair { 2 * outputs } else { outputs };
    let deviation = draw.choose(&[0.3, 1.0]) * (PACK as f64 / depth as f64).sqrt();
    let mut inputs = vec![
        draw.normals(&[rows, depth], 0.0, deviation).half(),
        draw.normals(&[batch, depth], 0.2, 1.0),
        draw.normals(&[batch, columns], 0.0, 1.0),
    ];
    if normed.is_some() {
        inputs.push(draw.normals(&[depth], 1.0, 0.5));
    }
    if biased {
        inputs.push(draw.normals(&[rows], 0.0, 1.0));
    }
    Case::forward_only(Step { finish, normed, biased, first: before }, inputs)
}
