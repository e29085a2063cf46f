//! The choice of tokens as an operation for the checks: by sorting, in f64, with the draw that the text's seed gives. Logits
//! with equal ones among them, vocabularies around a stretch's length, each option.

use super::{NONE, Options, Sampler, Text};
use crate::DType;
use crate::check::{Case, Draw, Input};
use crate::definition::{Array, Defined};
use crate::device::{Device, Gpu};
use crate::error::{Error, Result};
use crate::operation::Forward;
use crate::ops::dropout::philox::philox;
use crate::tensor::{Spec, Tensor};

const NAME: &str = "sampling";

/// Input: logits [rows, vocabulary]. Output: a token of each row.
#[derive(Debug, Clone)]
struct Choice {
    options: Options,
    /// Of each row.
    texts: Vec<(u64, Vec<u32>)>,
}

impl Choice {
    fn choose(&self, device: &Device, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        let &[logits] = inputs else { return Err(Error::shape(NAME, "takes the logits")) };
        let &[rows, vocabulary] = logits.sizes() else { return Err(Error::shape(NAME, "takes a matrix")) };
        let texts: Vec<Text> = self.texts.iter().map(|(seed, tokens)| Text { seed: *seed, tokens }).collect();
        let given = Tensor::new(device, &[rows], &vec![NONE; rows])?;
        Ok(vec![Sampler::new(device, self.options, vocabulary, &texts)?.choose(logits, &given)?.reports])
    }

    /// The token of a row by the definition, with p and the draw moved a little.
    fn defined(&self, row: usize, logits: &[f64], [move_p, move_draw]: [f64; 2]) -> usize {
        let (seed, seen) = &self.texts[row];
        let Options { temperature, top_k, top_p, repetition_penalty } = self.options;
        let penalised = |(token, &x): (usize, &f64)| match (x > 0.0, seen.contains(&(token as u32))) {
            (true, true) => x / repetition_penalty,
            (false, true) => x * repetition_penalty,
            (_, false) => x,
        };
        let x: Vec<f64> = logits.iter().enumerate().map(penalised).collect();
        let mut sorted = x.clone();
        sorted.sort_by(|a, b| b.total_cmp(a));
        let most = sorted[0];
        if temperature == 0.0 {
            return x.iter().position(|x| *x == most).unwrap_or(0);
        }
        let weight = |x: &f64| ((x - most) / temperature).exp();
        let mut threshold = sorted[top_k.unwrap_or(x.len()).min(x.len()) - 1];
        sorted.retain(|x| *x >= threshold);
        if top_p < 1.0 {
            let wanted = (top_p + move_p) * sorted.iter().map(weight).sum::<f64>();
            let mut sum = 0.0;
            let reached = sorted.iter().find(|x| {
                sum += weight(x);
                sum >= wanted
            });
            threshold = reached.copied().unwrap_or(threshold);
        }
        let kept = || x.iter().enumerate().filter(|(_, x)| **x >= threshold);
        let words = philox([0, 0, 0, 0], [*seed as u32, (*seed >> 32) as u32]);
        let drawn = f64::from(words[0] >> 8) / f64::from(1 << 24) + move_draw;
        let wanted = drawn * kept().map(|(_, x)| weight(x)).sum::<f64>();
        let mut sum = 0.0;
        let found = kept().find(|(_, x)| {
            sum += weight(x);
            wanted < sum
        });
        found.or(kept().next_back()).map_or(0, |(token, _)| token)
    }

    /// Whether rounding cannot put the draw of a row beyond the border of another token.
    fn is_clear(&self, row: usize, logits: &[f64]) -> bool {
        let token = |moved| self.defined(row, logits, moved);
        let here = token([0.0, 0.0]);
        let near = [[MARGIN, MARGIN], [MARGIN, -MARGIN], [-MARGIN, MARGIN], [-MARGIN, -MARGIN]];
        near.into_iter().all(|moved| token(moved) == here)
    }
}

/// What sums of f32 may be off by at most, as a share.
const MARGIN: f64 = 2e-5;

impl Forward for Choice {
    fn name(&self) -> &'static str {
        NAME
    }

    fn outputs(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        let [logits] = inputs else { return Err(Error::shape(NAME, "takes the logits")) };
        Ok(vec![Spec::new(&logits.shape.sizes()[..1], DType::U32)?])
    }

    fn forward_cpu(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        self.choose(&Device::cpu(), inputs)
    }

    fn forward_gpu(&self, gpu: &Gpu, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        self.choose(&Device::Gpu(gpu.clone()), inputs)
    }

    fn definition(&self, inputs: &[Array]) -> Vec<Defined> {
        let rows = inputs[0].data.chunks(inputs[0].last()).enumerate();
        let tokens: Vec<f64> = rows.map(|(row, logits)| self.defined(row, logits, [0.0, 0.0]) as f64).collect();
        vec![Defined::elementwise(Array::new(&[tokens.len()], tokens))]
    }
}

pub(crate) fn draw(draw: &mut Draw) -> Case {
    let vocabulary = draw.size(1024, draw.elements);
    let rows = draw.size(4, (draw.elements / vocabulary).max(1));
    let temperature = draw.choose(&[0.0, 0.5, 1.0, 3.0]);
    let options = Options {
        temperature,
        top_k: draw.coin().then(|| draw.number(1..=vocabulary.min(60))),
        top_p: draw.choose(&[1.0, 0.9, 0.4]),
        repetition_penalty: draw.choose(&[1.0, 2.0, 0.5]),
    };
    // Of 64ths some are equal among many; with penalties that are powers of two they stay so on every device.
    let values = draw.normals(&[rows, vocabulary], 0.0, 3.0).array.data;
    let logits = Input::float(&[rows, vocabulary], values.iter().map(|x| (64.0 * x).round() / 64.0).collect());
    let texts = (0..rows).map(|row| {
        let count = draw.number(0..=vocabulary.min(40));
        (row as u64, (0..count).map(|_| draw.number(0..=vocabulary - 1) as u32).collect())
    });
    let mut choice = Choice { options, texts: texts.collect() };
    for (row, x) in logits.array.data.chunks(vocabulary).enumerate() {
        // Most draws are far enough from a border.
        let mut clear = false;
        while !clear {
            choice.texts[row].0 = draw.number(0..=usize::MAX) as u64;
            clear = choice.is_clear(row, x);
        }
    }
    Case::forward_only(choice, vec![logits])
}
