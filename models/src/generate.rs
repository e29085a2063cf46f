//! Generation: the prompts in one piece, then token by token from the state.

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
    /// Only the most likely tokens whose probabilities reach this sum, of those that `top_k` leaves; 1 for all.
    pub top_p: f64,
    /// Positive logits of tokens that the text has already are divided by this, negative ones multiplied; 1 leaves them
    /// (Keskar and others, arXiv 1909.05858, as transformers does it).
    pub repetition_penalty: f64,
    /// Seed of the choice.
    pub seed: u64,
}

impl Default for Sampling {
    fn default() -> Self {
        Self { temperature: 0.8, top_k: None, top_p: 0.95, repetition_penalty: 1.0, seed: 0 }
    }
}

impl Sampling {
    /// The most likely token, always.
    pub fn greedy() -> Self {
        Self { temperature: 0.0, top_k: None, top_p: 1.0, repetition_penalty: 1.0, seed: 0 }
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
        if !(self.repetition_penalty.is_finite() && self.repetition_penalty > 0.0) {
            let penalty = self.repetition_penalty;
            return Err(Error::Request(format!("the repetition penalty must be above 0, it is {penalty}")));
        }
        Ok(())
    }

    /// The same for the text of this number among several: the first has the seed itself. So a prompt's text does not depend
    /// on which others are generated with it.
    #[must_use]
    pub fn for_text(self, number: usize) -> Self {
        Self { seed: self.seed ^ (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15), ..self }
    }
}

/// Chooses the tokens of one text; a generator of random numbers with its state.
#[derive(Debug)]
pub struct Sampler {
    sampling: Sampling,
    random: SmallRng,
    /// Whether the text has the token.
    seen: Vec<bool>,
}

impl Sampler {
    /// A sampler at its seed, for a text that begins with these tokens.
    ///
    /// # Errors
    /// As [`Sampling::validate`].
    pub fn new(sampling: Sampling, prompt: &[u32]) -> Result<Self> {
        sampling.validate()?;
        let mut sampler = Self { sampling, random: SmallRng::seed_from_u64(sampling.seed), seen: Vec::new() };
        prompt.iter().for_each(|token| sampler.note(*token));
        Ok(sampler)
    }

    fn note(&mut self, token: u32) {
        if self.sampling.repetition_penalty == 1.0 {
            return;
        }
        let at = token as usize;
        if at >= self.seen.len() {
            self.seen.resize(at + 1, false);
        }
        self.seen[at] = true;
    }

    /// The next token from its logits.
    ///
    /// # Errors
    /// Logits that are not finite.
    pub fn choose(&mut self, logits: &[f32]) -> Result<u32> {
        if let Some(at) = logits.iter().position(|x| !x.is_finite()) {
            return Err(Error::Request(format!("the model's logit of token {at} is {}: it has diverged", logits[at])));
        }
        let token = if self.sampling.repetition_penalty == 1.0 {
            self.draw(logits)
        } else {
            let penalty = self.sampling.repetition_penalty as f32;
            let mut logits = logits.to_vec();
            for (logit, _) in logits.iter_mut().zip(&self.seen).filter(|(_, seen)| **seen) {
                *logit = if *logit > 0.0 { *logit / penalty } else { *logit * penalty };
            }
            self.draw(&logits)
        }?;
        self.note(token);
        Ok(token)
    }

    fn draw(&mut self, logits: &[f32]) -> Result<u32> {
        // Equal logits keep the order of their tokens, so that the choice is the same everywhere.
        let by_logit = |a: &u32, b: &u32| logits[*b as usize].total_cmp(&logits[*a as usize]).then(a.cmp(b));
        let all = 0..logits.len() as u32;
        let Some(best) = all.clone().min_by(by_logit) else { return Err(Error::Request("there are no logits".into())) };
        if self.sampling.temperature == 0.0 {
            return Ok(best);
        }
        let mut order: Vec<u32> = all.collect();
        if let Some(k) = self.sampling.top_k.filter(|k| *k < order.len()) {
            order.select_nth_unstable_by(k - 1, by_logit);
            order.truncate(k);
        }
        order.sort_by(by_logit);
        let highest = f64::from(logits[best as usize]);
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

/// Tokens of a prompt that are computed at once, all texts of a batch together: more would need more memory, not less time.
const PREFILL: usize = 8192;

/// Reads tokens [batch, sequence], a row a text, into a state, and gives the logits [batch, vocab_size] of what follows.
///
/// # Errors
/// What the model meets.
pub fn prefill(model: &Model, texts: &[&[u32]], state: &mut State) -> Result<Tensor> {
    let device = model.device();
    let (batch, sequence) = (texts.len(), texts.first().map_or(0, |text| text.len()));
    if texts.iter().any(|text| text.len() != sequence) || sequence == 0 {
        return Err(Error::Request("the texts of a prefill must be of one length, and not empty".into()));
    }
    let piece = (PREFILL / batch).max(1);
    let mut at = 0;
    loop {
        let end = sequence.min(at + piece);
        let columns: Vec<u32> = texts.iter().flat_map(|text| &text[at..end]).copied().collect();
        let tokens = Tensor::new(&device, &[batch, end - at], &columns)?;
        if end == sequence {
            return model.next_logits(&tokens, state);
        }
        model.read(&tokens, state)?;
        at = end;
    }
}

/// Generates up to `count` tokens after each prompt, giving each with its prompt's number to `emit` as it is chosen; `emit`
/// returns whether that text goes on.
///
/// All texts stand at the same position, that of the shortest prompt at first: a longer one is read on token by token while
/// the shorter ones are written.
///
/// # Errors
/// No prompt, an empty one, tokens outside the vocabulary, and what the model meets.
pub fn generate_batch(
    model: &Model,
    prompts: &[Vec<u32>],
    count: usize,
    samplings: &[Sampling],
    mut emit: impl FnMut(usize, u32) -> bool,
) -> Result<()> {
    let vocabulary = model.configuration().vocab_size;
    for (number, prompt) in prompts.iter().enumerate() {
        if prompt.is_empty() {
            let message = format!("prompt {} is empty; give at least one token to start from", number + 1);
            return Err(Error::Request(message));
        }
        if let Some(token) = prompt.iter().find(|&&token| token as usize >= vocabulary) {
            return Err(Error::Request(format!(
                "token {token} of prompt {} is not in the vocabulary of {vocabulary}",
                number + 1
            )));
        }
    }
    if samplings.len() != prompts.len() {
        return Err(Error::Request("there must be a sampling for each prompt".into()));
    }
    let lengths = || prompts.iter().map(Vec::len);
    let (Some(shortest), Some(longest)) = (lengths().min(), lengths().max()) else { return Ok(()) };
    if count == 0 {
        return Ok(());
    }
    let device = model.device();
    let mut samplers: Vec<Sampler> = prompts
        .iter()
        .zip(samplings)
        .map(|(prompt, sampling)| Sampler::new(*sampling, prompt))
        .collect::<Result<_>>()?;
    let mut left = vec![count; prompts.len()];
    let mut state = State::new(model.configuration(), &device, prompts.len(), longest + count)?;
    let beginnings: Vec<&[u32]> = prompts.iter().map(|prompt| &prompt[..shortest]).collect();
    let mut logits = prefill(model, &beginnings, &mut state)?;
    let mut next = vec![0u32; prompts.len()];
    for position in shortest.. {
        let chosen = prompts.iter().any(|prompt| position >= prompt.len());
        let values = if chosen { logits.to_vec::<f32>()? } else { Vec::new() };
        for (row, prompt) in prompts.iter().enumerate() {
            if let Some(token) = prompt.get(position) {
                next[row] = *token;
            } else if left[row] > 0 {
                next[row] = samplers[row].choose(&values[row * vocabulary..(row + 1) * vocabulary])?;
                left[row] = if emit(row, next[row]) { left[row] - 1 } else { 0 };
            }
        }
        if left.iter().all(|left| *left == 0) {
            break;
        }
        logits = model.next_logits(&Tensor::new(&device, &[prompts.len(), 1], &next)?, &mut state)?;
    }
    Ok(())
}

/// Generates `count` tokens after one prompt, as [`generate_batch`].
///
/// # Errors
/// As there.
pub fn generate(
    model: &Model,
    prompt: &[u32],
    count: usize,
    sampling: Sampling,
    mut emit: impl FnMut(u32) -> bool,
) -> Result<()> {
    generate_batch(model, &[prompt.to_vec()], count, &[sampling], |_, token| emit(token))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configuration::presets;
    use crate::folder::tests::devices;

    fn sampler(sampling: Sampling) -> Sampler {
        Sampler::new(sampling, &[]).unwrap()
    }

    #[test]
    fn sampling_respects_its_limits() {
        let logits = [0.0, 3.0, 2.0, 3.0, -5.0];
        assert_eq!(sampler(Sampling::greedy()).choose(&logits).unwrap(), 1);
        let sampling = Sampling { temperature: 1.0, top_k: Some(3), seed: 7, ..Sampling::greedy() };
        let mut drawn = sampler(sampling);
        let mut counts = [0; 5];
        for _ in 0..4000 {
            counts[drawn.choose(&logits).unwrap() as usize] += 1;
        }
        assert_eq!((counts[0], counts[4]), (0, 0));
        // e³ : e³ : e² = 0.4223 : 0.4223 : 0.1554
        assert!((counts[2] as f64 / 4000.0 - 0.1554).abs() < 0.03, "{counts:?}");
        let nucleus = Sampling { temperature: 1.0, top_p: 0.5, seed: 1, ..Sampling::greedy() };
        let mut drawn = sampler(nucleus);
        assert!((0..200).all(|_| [1, 3].contains(&drawn.choose(&logits).unwrap())));
    }

    #[test]
    fn tokens_seen_before_are_less_likely() {
        let sampling = Sampling { repetition_penalty: 1.5, ..Sampling::greedy() };
        let logits = [2.0, 1.5, -1.0, -1.2];
        let mut chooser = Sampler::new(sampling, &[]).unwrap();
        // 2, then 2 / 1.5 is below 1.5; then both are divided.
        assert_eq!([(); 3].map(|()| chooser.choose(&logits).unwrap()), [0, 1, 0]);
        // −1 · 1.5 is below −1.2.
        assert_eq!(Sampler::new(sampling, &[2]).unwrap().choose(&[-9.0, -9.0, -1.0, -1.2]).unwrap(), 3);
        assert_eq!(Sampler::new(Sampling::greedy(), &[2]).unwrap().choose(&[-9.0, -9.0, -1.0, -1.2]).unwrap(), 2);
    }

    #[test]
    fn bad_requests_are_named() {
        let bad = |sampling: Sampling| sampling.validate().unwrap_err().to_string();
        assert!(bad(Sampling { temperature: f64::NAN, ..Sampling::greedy() }).contains("temperature"));
        assert!(bad(Sampling { top_p: 0.0, ..Sampling::greedy() }).contains("top-p"));
        assert!(bad(Sampling { top_k: Some(0), ..Sampling::greedy() }).contains("top-k"));
        assert!(bad(Sampling { repetition_penalty: 0.0, ..Sampling::greedy() }).contains("penalty"));
        let diverged = sampler(Sampling::greedy()).choose(&[1.0, f32::NAN]);
        assert!(diverged.unwrap_err().to_string().contains("diverged"));
        let model = Model::new(presets::find("xlstm-tiny").unwrap().model, &gradus_engine::Device::cpu(), 0).unwrap();
        for (prompt, part) in [(vec![], "prompt 1 is empty"), (vec![3, 256], "token 256 of prompt 1")] {
            let error = generate(&model, &prompt, 1, Sampling::greedy(), |_| true).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }

    /// Prompts of different lengths, some ending early: each text is what it is alone.
    #[test]
    fn a_text_does_not_depend_on_the_others_of_its_batch() {
        for name in ["xlstm-tiny", "llama-tiny"] {
            for device in devices() {
                let mut configuration = presets::find(name).unwrap().model;
                configuration.num_blocks = 2;
                let model = Model::new(configuration, &device, 5).unwrap();
                let prompts: Vec<Vec<u32>> = [3usize, 7, 3, 1]
                    .iter()
                    .map(|length| (0..*length as u32).map(|i| (i * 37 + 11) % 256).collect())
                    .collect();
                let sampling =
                    Sampling { temperature: 1.0, top_p: 0.9, repetition_penalty: 1.2, top_k: Some(40), seed: 3 };
                let samplings: Vec<Sampling> = (0..4).map(|number| sampling.for_text(number)).collect();
                let mut together = vec![Vec::new(); 4];
                generate_batch(&model, &prompts, 6, &samplings, |row, token| {
                    together[row].push(token);
                    row != 2 || together[row].len() < 2
                })
                .unwrap();
                assert_eq!(together.iter().map(Vec::len).collect::<Vec<_>>(), [6, 6, 2, 6]);
                for (row, prompt) in prompts.iter().enumerate() {
                    let mut alone = Vec::new();
                    generate(&model, prompt, together[row].len(), samplings[row], |token| {
                        alone.push(token);
                        true
                    })
                    .unwrap();
                    assert_eq!(alone, together[row], "{name} on {}: text {row}", device.name());
                }
            }
        }
    }
}
