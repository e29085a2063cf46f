//! The texts that a model writes: a short one at each evaluation, a longer one at the end of its run.

use std::io::Write;
use std::time::Instant;

use gradus_models::Model;
use gradus_models::generate::{Sampling, generate};
use gradus_models::tokenizer::Tokenizer;

use crate::configuration::Evaluation;
use crate::error::Result;
use crate::text_stream::TextStream;

/// Share of the probability that the sample's tokens are drawn from.
const TOP_P: f64 = 0.95;

/// Where a text ends.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    /// Tokens behind the prompt.
    pub tokens: usize,
    /// Seconds that they may take.
    pub seconds: Option<f64>,
}

/// Writes the prompt and what follows to `out`. A reader that is gone ends it quietly.
///
/// # Errors
/// What the model meets.
pub fn write_sample(
    model: &Model,
    tokenizer: &Tokenizer,
    options: &Evaluation,
    limit: Limit,
    seed: u64,
    terminal: bool,
    out: &mut dyn Write,
) -> Result<()> {
    if limit.tokens == 0 {
        return Ok(());
    }
    let started = Instant::now();
    let prompt = tokenizer.encode(&options.sample_prompt)?.tokens;
    let sampling = Sampling { temperature: options.sample_temperature, top_p: TOP_P, seed, ..Sampling::greedy() };
    let mut text = TextStream::new(tokenizer, terminal);
    let mut listening = write!(out, "{}", options.sample_prompt).is_ok();
    generate(model, &prompt, limit.tokens, sampling, |token| {
        listening = listening && write!(out, "{}", text.push(token)).and_then(|()| out.flush()).is_ok();
        listening && limit.seconds.is_none_or(|seconds| started.elapsed().as_secs_f64() < seconds)
    })?;
    if listening {
        // As above: nobody may be reading.
        let _ = writeln!(out, "{}", text.finish());
    }
    Ok(())
}
