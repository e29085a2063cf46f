//! Generation: the prompts in few pieces, then token by token from the state.

use std::collections::VecDeque;

use gradus_engine::ops::sampling::{self, NONE, Sampler, Text};
use gradus_engine::tensor::Reading;
use gradus_engine::{Device, Tensor};

use crate::configuration::ModelConfiguration;
use crate::model::Model;
use crate::state::State;
use crate::{Error, Result};

/// A model that can go on with texts, whatever its weights are stored as.
pub trait Language {
    /// What the model is.
    fn configuration(&self) -> &ModelConfiguration;

    /// Where it is.
    fn device(&self) -> Device;

    /// Begins `batch` texts of up to `capacity` tokens.
    ///
    /// # Errors
    /// An allocation that the device refuses.
    fn begin(&self, batch: usize, capacity: usize) -> Result<Box<dyn Reader + '_>>;
}

/// Reads a batch of texts, all at the same position.
pub trait Reader {
    /// Reads the next tokens of each text, as many of each, and gives the logits [batch, vocab_size] of what follows.
    ///
    /// # Errors
    /// What the model meets.
    fn read(&mut self, texts: &[&[u32]]) -> Result<Tensor>;

    /// The same for one token a text, [batch] (u32), which need not be on the host.
    ///
    /// # Errors
    /// What the model meets.
    fn step(&mut self, tokens: &Tensor) -> Result<Tensor>;
}

impl Language for Model {
    fn configuration(&self) -> &ModelConfiguration {
        Model::configuration(self)
    }

    fn device(&self) -> Device {
        Model::device(self)
    }

    fn begin(&self, batch: usize, capacity: usize) -> Result<Box<dyn Reader + '_>> {
        let state = State::new(Model::configuration(self), &Model::device(self), batch, capacity)?;
        Ok(Box::new(Stateful { model: self, state }))
    }
}

/// A model in f32 with the state of its texts.
struct Stateful<'a> {
    model: &'a Model,
    state: State,
}

impl Reader for Stateful<'_> {
    fn read(&mut self, texts: &[&[u32]]) -> Result<Tensor> {
        prefill(self.model, texts, &mut self.state)
    }

    fn step(&mut self, tokens: &Tensor) -> Result<Tensor> {
        self.model.next_logits(&tokens.reshaped(&[tokens.elements(), 1])?, &mut self.state)
    }
}

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

    fn options(&self) -> sampling::Options {
        sampling::Options {
            temperature: self.temperature,
            top_k: self.top_k,
            top_p: self.top_p,
            repetition_penalty: self.repetition_penalty,
        }
    }

    /// The seed for the text of this number among several: the first has the seed itself. So a prompt's text does not depend
    /// on which others are generated with it.
    #[must_use]
    pub fn seed_of(&self, number: usize) -> u64 {
        self.seed ^ (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
}

/// Tokens of a prompt that are computed at once, all texts of a batch together: more would need more memory, not less time.
const PREFILL: usize = 8192;

/// Steps that a GPU is given beyond the one whose tokens are looked at.
pub const STEPS_AHEAD: usize = 2;

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
/// returns whether that text goes on. Each prompt comes with the seed of its choices, in the place of the sampling's.
///
/// All texts stand at the same position, that of the shortest prompt at first: a longer one is read on token by token while
/// the shorter ones are written. Tokens are chosen on the device and go from there into the next step. On a GPU, the next
/// [`STEPS_AHEAD`] steps are given to the device before the host looks at the tokens, so that it never waits for the host; where
/// all texts end early these are computed for nothing.
///
/// # Errors
/// No prompt, an empty one, tokens outside the vocabulary, logits that are not finite, and what the model meets.
pub fn generate_batch(
    model: &dyn Language,
    prompts: &[(Vec<u32>, u64)],
    count: usize,
    sampling: Sampling,
    mut emit: impl FnMut(usize, u32) -> bool,
) -> Result<()> {
    sampling.validate()?;
    let vocabulary = model.configuration().vocab_size;
    for (number, (prompt, _)) in prompts.iter().enumerate() {
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
    let lengths = || prompts.iter().map(|(prompt, _)| prompt.len());
    let (Some(shortest), Some(longest)) = (lengths().min(), lengths().max()) else { return Ok(()) };
    if count == 0 {
        return Ok(());
    }
    let (device, batch) = (model.device(), prompts.len());
    let texts: Vec<Text> = prompts.iter().map(|(prompt, seed)| Text { seed: *seed, tokens: prompt }).collect();
    let mut sampler = Sampler::new(&device, sampling.options(), vocabulary, &texts)?;
    let mut reader = model.begin(batch, longest + count)?;
    let beginnings: Vec<&[u32]> = prompts.iter().map(|(prompt, _)| &prompt[..shortest]).collect();
    let mut logits = reader.read(&beginnings)?;
    // Behind the prompts nothing is given any more.
    let mut given = Tensor::new(&device, &[batch], &vec![NONE; batch])?;
    let mut left = vec![count; batch];
    let mut waiting: VecDeque<(usize, Reading<u32>)> = VecDeque::new();
    let ahead = if device.is_gpu() { STEPS_AHEAD } else { 0 };
    let last = longest + count - 1;
    for position in shortest..=last {
        if position < longest {
            let tokens: Vec<u32> =
                prompts.iter().map(|(prompt, _)| prompt.get(position).copied().unwrap_or(NONE)).collect();
            given = Tensor::new(&device, &[batch], &tokens)?;
        } else if position == longest {
            given = Tensor::new(&device, &[batch], &vec![NONE; batch])?;
        }
        let chosen = sampler.choose(&logits, &given)?;
        waiting.push_back((position, chosen.reports.read::<u32>()?));
        // A GPU has the next steps to do while the tokens of those before are looked at.
        if waiting.len() > ahead
            && let Some((at, reading)) = waiting.pop_front()
            && !deliver(prompts, at, &reading.wait()?, &mut left, &mut emit)?
        {
            return Ok(());
        }
        if position < last {
            logits = reader.step(&chosen.tokens)?;
        }
    }
    for (at, reading) in waiting {
        if !deliver(prompts, at, &reading.wait()?, &mut left, &mut emit)? {
            break;
        }
    }
    Ok(())
}

/// Gives the tokens of a position to `emit`; whether any text goes on.
fn deliver(
    prompts: &[(Vec<u32>, u64)],
    position: usize,
    tokens: &[u32],
    left: &mut [usize],
    emit: &mut impl FnMut(usize, u32) -> bool,
) -> Result<bool> {
    for (row, ((prompt, _), token)) in prompts.iter().zip(tokens).enumerate() {
        if position < prompt.len() || left[row] == 0 {
            continue;
        }
        if *token == NONE {
            let message = format!("the model's logits after token {position} are not finite: it has diverged");
            return Err(Error::Request(message));
        }
        left[row] = if emit(row, *token) { left[row] - 1 } else { 0 };
    }
    Ok(left.iter().any(|left| *left > 0))
}

/// Generates `count` tokens after one prompt, as [`generate_batch`].
///
/// # Errors
/// As there.
pub fn generate(
    model: &dyn Language,
    prompt: &[u32],
    count: usize,
    sampling: Sampling,
    mut emit: impl FnMut(u32) -> bool,
) -> Result<()> {
    generate_batch(model, &[(prompt.to_vec(), sampling.seed)], count, sampling, |_, token| emit(token))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configuration::presets;
    use crate::folder::tests::devices;

    #[test]
    fn bad_requests_are_named() {
        let bad = |sampling: Sampling| sampling.validate().unwrap_err().to_string();
        assert!(bad(Sampling { temperature: f64::NAN, ..Sampling::greedy() }).contains("temperature"));
        assert!(bad(Sampling { top_p: 0.0, ..Sampling::greedy() }).contains("top-p"));
        assert!(bad(Sampling { top_k: Some(0), ..Sampling::greedy() }).contains("top-k"));
        assert!(bad(Sampling { repetition_penalty: 0.0, ..Sampling::greedy() }).contains("penalty"));
        let model = Model::new(presets::find("xlstm-tiny").unwrap().model, &gradus_engine::Device::cpu(), 0).unwrap();
        for (prompt, part) in [(vec![], "prompt 1 is empty"), (vec![3, 256], "token 256 of prompt 1")] {
            let error = generate(&model, &prompt, 1, Sampling::greedy(), |_| true).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn a_model_that_has_diverged_says_so() {
        for device in devices() {
            let mut model = Model::new(presets::find("llama-tiny").unwrap().model, &device, 0).unwrap();
            let last = model.weights.len() - 1;
            model.weights[last].write(128 * 7, &[f32::NAN]).unwrap();
            let error = generate(&model, &[1, 2], 4, Sampling::default(), |_| true).unwrap_err().to_string();
            assert!(error.contains("after token 2 are not finite: it has diverged"), "{error}");
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
                let seeded: Vec<(Vec<u32>, u64)> = prompts
                    .iter()
                    .enumerate()
                    .map(|(number, prompt)| (prompt.clone(), sampling.seed_of(number)))
                    .collect();
                let mut together = vec![Vec::new(); 4];
                generate_batch(&model, &seeded, 6, sampling, |row, token| {
                    together[row].push(token);
                    row != 2 || together[row].len() < 2
                })
                .unwrap();
                assert_eq!(together.iter().map(Vec::len).collect::<Vec<_>>(), [6, 6, 2, 6]);
                for (row, prompt) in prompts.iter().enumerate() {
                    let mut alone = Vec::new();
                    let own = Sampling { seed: sampling.seed_of(row), ..sampling };
                    generate(&model, prompt, together[row].len(), own, |token| {
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
