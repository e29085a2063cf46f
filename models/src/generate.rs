//! Generation: the prompt in one piece, then token by token from the state.

use gradus_engine::Tensor;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use crate::model::Model;
use crate::state::State;
use crate::{Error, Result};

/// How the next token is chosen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampling {
    /// Logits are divided by this; 0 takes the most likely token.
    pub temperature: f64,
    /// Only so many of the most likely tokens; `None` for all.
    pub top_k: Option<usize>,
    /// Only the most likely tokens whose probabilities reach this sum; 1 for all.
    pub top_p: f64,
    /// Seed of the choice.
    pub seed: u64,
}

impl Default for Sampling {
    fn default() -> Self {
        Self { temperature: 0.8, top_k: None, top_p: 0.95, seed: 0 }
    }
}

impl Sampling {
    /// The most likely token, always.
    pub fn greedy() -> Self {
        Self { temperature: 0.0, top_k: None, top_p: 1.0, seed: 0 }
    }

    /// # Errors
    /// A number out of its range, by name.
    pub fn validate(&self) -> Result<()> {
        if !(self.temperature.is_finite() && self.temperature >= 0.0) {
            return Err(Error::Request(format!("temperature must be 0 or more, it is {}", self.temperature)));
        }
        if !(self.top_p > 0.0 && self.top_p <= 1.0) {
            return Err(Error::Request(format!("top-p must be above 0 and at most 1, it is {}", self.top_p)));
        }
        if self.top_k == Some(0) {
            return Err(Error::Request("top-k must be at least 1".into()));
        }
        Ok(())
    }
}

/// Chooses tokens; a generator of random numbers with its state.
#[derive(Debug)]
pub struct Sampler {
    sampling: Sampling,
    random: SmallRng,
}

impl Sampler {
    /// A sampler at its seed.
    ///
    /// # Errors
    /// As [`Sampling::validate`].
    pub fn new(sampling: Sampling) -> Result<Self> {
        sampling.validate()?;
        Ok(Self { sampling, random: SmallRng::seed_from_u64(sampling.seed) })
    }

    /// The next token from its logits.
    ///
    /// # Errors
    /// Logits that are not finite.
    pub fn choose(&mut self, logits: &[f32]) -> Result<u32> {
        if let Some(at) = logits.iter().position(|x| !x.is_finite()) {
            return Err(Error::Request(format!("the model's logit of token {at} is {}: it has diverged", logits[at])));
        }
        let mut order: Vec<u32> = (0..logits.len() as u32).collect();
        // Equal logits keep the order of their tokens, so that the choice is the same everywhere.
        let by_logit = |a: &u32, b: &u32| logits[*b as usize].total_cmp(&logits[*a as usize]).then(a.cmp(b));
        if self.sampling.temperature == 0.0 {
            return order.into_iter().min_by(by_logit).ok_or_else(|| Error::Request("there are no logits".into()));
        }
        order.sort_by(by_logit);
        order.truncate(self.sampling.top_k.unwrap_or(usize::MAX));
        let highest = f64::from(logits[order[0] as usize]);
        let weight = |token: &u32| ((f64::from(logits[*token as usize]) - highest) / self.sampling.temperature).exp();
        let weights: Vec<f64> = order.iter().map(weight).collect();
        let total: f64 = weights.iter().sum();
        // The nucleus: the fewest tokens whose probabilities reach top-p.
        let mut kept = 0.0;
        let mut count = 0;
        while count < weights.len() && kept < self.sampling.top_p * total {
            kept += weights[count];
            count += 1;
        }
        let mut target = self.random.random::<f64>() * kept;
        for (token, weight) in order.iter().zip(&weights).take(count) {
            target -= weight;
            if target <= 0.0 {
                return Ok(*token);
            }
        }
        Ok(order[count.saturating_sub(1)])
    }
}

/// Generates `count` tokens after `prompt`, giving each to `emit` as it is chosen; `emit` returns whether to go on.
///
/// # Errors
/// An empty prompt, tokens outside the vocabulary, and what the model meets.
pub fn generate(
    model: &Model,
    prompt: &[u32],
    count: usize,
    sampling: Sampling,
    mut emit: impl FnMut(u32) -> bool,
) -> Result<()> {
    let vocabulary = model.configuration().vocab_size;
    if prompt.is_empty() {
        return Err(Error::Request("the prompt is empty; give at least one token to start from".into()));
    }
    if let Some(token) = prompt.iter().find(|&&token| token as usize >= vocabulary) {
        return Err(Error::Request(format!("token {token} of the prompt is not in the vocabulary of {vocabulary}")));
    }
    let device = model.device();
    let mut sampler = Sampler::new(sampling)?;
    let mut state = State::new(model.configuration(), &device, 1, prompt.len() + count)?;
    let mut tokens = Tensor::new(&device, &[1, prompt.len()], prompt)?;
    for _ in 0..count {
        let logits = model.next_logits(&tokens, &mut state)?.to_vec::<f32>()?;
        let token = sampler.choose(&logits)?;
        if !emit(token) {
            break;
        }
        tokens = Tensor::new(&device, &[1, 1], &[token])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sampling_respects_its_limits() {
        let logits = [0.0, 3.0, 2.0, 3.0, -5.0];
        assert_eq!(Sampler::new(Sampling::greedy()).unwrap().choose(&logits).unwrap(), 1);
        let sampling = Sampling { temperature: 1.0, top_k: Some(3), top_p: 1.0, seed: 7 };
        let mut sampler = Sampler::new(sampling).unwrap();
        let mut counts = [0; 5];
        for _ in 0..4000 {
            counts[sampler.choose(&logits).unwrap() as usize] += 1;
        }
        assert_eq!((counts[0], counts[4]), (0, 0));
        // e³ : e³ : e² = 0.4223 : 0.4223 : 0.1554
        assert!((counts[2] as f64 / 4000.0 - 0.1554).abs() < 0.03, "{counts:?}");
        let nucleus = Sampling { temperature: 1.0, top_k: None, top_p: 0.5, seed: 1 };
        let mut sampler = Sampler::new(nucleus).unwrap();
        assert!((0..200).all(|_| [1, 3].contains(&sampler.choose(&logits).unwrap())));
    }

    #[test]
    fn bad_requests_are_named() {
        let bad = |sampling: Sampling| sampling.validate().unwrap_err().to_string();
        assert!(bad(Sampling { temperature: f64::NAN, ..Sampling::greedy() }).contains("temperature"));
        assert!(bad(Sampling { top_p: 0.0, ..Sampling::greedy() }).contains("top-p"));
        assert!(bad(Sampling { top_k: Some(0), ..Sampling::greedy() }).contains("top-k"));
        let diverged = Sampler::new(Sampling::greedy()).unwrap().choose(&[1.0, f32::NAN]);
        assert!(diverged.unwrap_err().to_string().contains("diverged"));
    }
}
