//! The choice of the next token, on the device of the logits: the host reads nothing but tokens, and those a step late if it
//! likes.
//!
//! With x the logits of a row, those of tokens that the text has already divided by the penalty r where positive and multiplied
//! where negative (Keskar et al., arXiv 1909.05858), T the temperature and w = e^((x − max x) / T):
//!
//! ```text
//! K = { i : x_i ≥ the k-th largest x }                                  top-k; equal logits are kept together
//! N = { i ∈ K : x_i ≥ t },  t the largest with Σ_N w ≥ p · Σ_K w         top-p, the nucleus (Holtzman et al., arXiv 1904.09751)
//! token i ∈ N with probability w_i / Σ_N w                               T = 0: the largest x, the first of equal ones
//! ```
//!
//! The random number of a text's n-th draw is word 0 of Philox4x32-10 with counter n and the text's seed as key: it depends on
//! nothing else, so a text is the same whichever others are drawn with it.

pub(crate) mod cases;
mod cpu;
mod gpu;
#[cfg(test)]
mod tests;

use crate::DType;
use crate::device::Device;
use crate::error::{Error, Result};
use crate::tensor::Tensor;

const NAME: &str = "sampling";

/// In the place of a token: none is given, it is to be chosen; or, in a report, a logit was not finite.
pub const NONE: u32 = u32::MAX;

/// Words of a row's state before the bits of its tokens: the seed, the number of draws, one unused.
const HEAD: usize = 4;

/// How tokens are chosen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Options {
    /// T; 0 takes the likeliest token.
    pub temperature: f64,
    /// k; `None` for all.
    pub top_k: Option<usize>,
    /// p, above 0; 1 for all.
    pub top_p: f64,
    /// r, above 0; 1 changes nothing.
    pub repetition_penalty: f64,
}

/// Where a text begins: its seed, and the tokens that it has already.
#[derive(Debug, Clone, Copy)]
pub struct Text<'a> {
    /// Of its random numbers.
    pub seed: u64,
    /// For the repetition penalty.
    pub tokens: &'a [u32],
}

/// Chooses the tokens of several texts, step by step. What it remembers of them is on the device.
#[derive(Debug)]
pub struct Sampler {
    options: Options,
    vocabulary: usize,
    /// [rows, HEAD + a bit a token]
    state: Tensor,
}

/// What was chosen, both [rows] u32.
#[derive(Debug)]
pub struct Chosen {
    /// A token of every row, for the next step.
    pub tokens: Tensor,
    /// The same, but [`NONE`] where a logit was not finite: for the host.
    pub reports: Tensor,
}

impl Sampler {
    /// A sampler for texts over a vocabulary.
    ///
    /// # Errors
    /// An option or a token out of its range; an allocation that the device refuses.
    pub fn new(device: &Device, options: Options, vocabulary: usize, texts: &[Text]) -> Result<Self> {
        let refuse = |message: String| Err(Error::shape(NAME, message));
        if !(options.temperature.is_finite() && options.temperature >= 0.0) {
            return refuse(format!("the temperature must be 0 or more, it is {}", options.temperature));
        }
        if !(options.top_p > 0.0 && options.top_p <= 1.0) {
            return refuse(format!("top-p must be above 0 and at most 1, it is {}", options.top_p));
        }
        if options.top_k == Some(0) {
            return refuse("top-k must be at least 1".into());
        }
        if !(options.repetition_penalty.is_finite() && options.repetition_penalty > 0.0) {
            return refuse(format!("the repetition penalty must be above 0, it is {}", options.repetition_penalty));
        }
        // Counts and places of tokens are whole floats in the kernel.
        if vocabulary == 0 || vocabulary >= 1 << 24 {
            return refuse(format!("a vocabulary has 1 to {} tokens, not {vocabulary}", (1 << 24) - 1));
        }
        let words = HEAD + vocabulary.div_ceil(32);
        let mut state = vec![0u32; texts.len() * words];
        for (row, text) in state.chunks_mut(words).zip(texts) {
            (row[0], row[1]) = (text.seed as u32, (text.seed >> 32) as u32);
            for &token in text.tokens {
                if token as usize >= vocabulary {
                    return refuse(format!("token {token} is not in the vocabulary of {vocabulary}"));
                }
                row[HEAD + token as usize / 32] |= 1 << (token % 32);
            }
        }
        Ok(Self { options, vocabulary, state: Tensor::new(device, &[texts.len(), words], &state)? })
    }

    /// Chooses a token a row from `logits` [rows, vocabulary] (f32), or takes the one that `given` [rows] (u32) has for it: such
    /// a row is as if it had not been drawn for.
    ///
    /// # Errors
    /// Tensors of other shapes, types or devices; a fault of the device.
    pub fn choose(&mut self, logits: &Tensor, given: &Tensor) -> Result<Chosen> {
        let rows = self.state.sizes()[0];
        if logits.sizes() != [rows, self.vocabulary] || logits.dtype() != DType::F32 {
            let message = format!("expected f32 logits [{rows}, {}], got {logits:?}", self.vocabulary);
            return Err(Error::shape(NAME, message));
        }
        if given.sizes() != [rows] || given.dtype() != DType::U32 {
            return Err(Error::shape(NAME, format!("expected u32 tokens [{rows}], got {given:?}")));
        }
        match self.state.device() {
            Device::Cpu(cpu) => cpu::choose(&cpu, self.options, &mut self.state, logits, given),
            Device::Gpu(gpu) => gpu::choose(&gpu, self.options, &mut self.state, logits, given),
        }
    }
}
