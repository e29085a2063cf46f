//! The clock: time to the first token, and of the steps behind it.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use gradus_engine::device::{Gpu, gpu::Timing};
use gradus_engine::ops::sampling::{NONE, Options, Sampler, Text};
use gradus_engine::tensor::Reading;
use gradus_engine::{Device, Error, Tensor};
use gradus_models::generate::{Language, Reader, STEPS_AHEAD};

use crate::bench::stopwatch::Spread;
use crate::error::Result;

/// Repeats of a figure, of which the median counts; fewer if they would take longer than [`PATIENCE`].
const REPEATS: usize = 5;
const PATIENCE: f64 = 6.0;
/// Seconds of work before anything counts: an idle card runs at a fraction of its clock, one that waits for a compiler too.
const WARM_SECONDS: f64 = 0.4;
/// Steps before those that count.
const WARM_STEPS: usize = 8;
/// Stretches of steps whose medians count.
const STRETCHES: usize = 5;

/// What was measured of a row.
pub struct Measured {
    /// Seconds from the prompt to its first token on the host.
    pub first: Spread,
    /// Seconds a step, for the whole batch.
    pub step: Spread,
    /// Of those, seconds in which the host records and submits.
    pub recording: f64,
    /// Tokens of a text before a step that counts, in the mean.
    pub position: f64,
    /// Bytes of device memory held at most.
    pub memory: Option<u64>,
}

/// Tokens that a text has room for.
pub fn capacity(prefill: usize, generate: usize) -> usize {
    prefill + WARM_STEPS + STRETCHES * generate + STEPS_AHEAD
}

/// Times a row; why not, where the device has no room for it.
///
/// # Errors
/// Whatever else fails.
pub fn measure(
    model: &dyn Language,
    batch: usize,
    prefill: usize,
    generate: usize,
) -> Result<std::result::Result<Measured, String>> {
    match rows(model, batch, prefill, generate) {
        Ok(measured) => Ok(Ok(measured)),
        Err(gradus_models::Error::Engine(error @ (Error::OutOfMemory(_) | Error::Limit { .. }))) => {
            if let Device::Gpu(gpu) = model.device() {
                gpu.trim()?;
            }
            Ok(Err(error.to_string()))
        }
        Err(error) => Err(error.into()),
    }
}

fn rows(
    model: &dyn Language,
    batch: usize,
    prefill: usize,
    generate: usize,
) -> std::result::Result<Measured, gradus_models::Error> {
    let device = model.device();
    if let Device::Gpu(gpu) = &device {
        gpu.trim()?;
        gpu.reset_peak();
    }
    let texts = Texts::new(model, batch, prefill)?;
    let room = capacity(prefill, generate);
    let mut samples = Vec::new();
    // The first read compiles kernels, those after it warm the card.
    let mut run = Run::begin(&texts, room)?;
    let tokens = run.first()?;
    let mut last = Some((run, tokens));
    let begun = Instant::now();
    while samples.len() < REPEATS {
        // The caches of the run before are given back first.
        drop(last.take());
        let mut run = Run::begin(&texts, room)?;
        device.synchronize()?;
        let warm = begun.elapsed().as_secs_f64() >= WARM_SECONDS;
        let start = Instant::now();
        let tokens = run.first()?;
        let seconds = start.elapsed().as_secs_f64();
        last = Some((run, tokens));
        if warm {
            samples.push(seconds);
            if begun.elapsed().as_secs_f64() + seconds > PATIENCE {
                break;
            }
        }
    }
    let (mut run, tokens) = last.ok_or_else(|| gradus_models::Error::Request("nothing was timed".into()))?;
    let mut tokens = tokens;
    let warming = WARM_STEPS.min(generate);
    run.steps(warming, &mut tokens)?;
    let mut stretches = Vec::new();
    let mut recording = Duration::ZERO;
    let begun = Instant::now();
    while stretches.len() < STRETCHES && (stretches.is_empty() || begun.elapsed().as_secs_f64() < PATIENCE) {
        let start = Instant::now();
        recording += run.steps(generate, &mut tokens)?;
        stretches.push(start.elapsed().as_secs_f64() / generate as f64);
    }
    let counted = stretches.len() * generate;
    let recording = recording.as_secs_f64() / counted as f64;
    // The first step that counts has the prompt and the steps of warming up before its own token, each later one a token more.
    let position = (prefill + warming) as f64 + (counted - 1) as f64 / 2.0;
    let memory = match &device {
        Device::Gpu(gpu) => Some(gpu.memory().reserved),
        Device::Cpu(_) => Some(device.memory().1),
    };
    Ok(Measured { first: Spread::of(samples), step: Spread::of(stretches), recording, position, memory })
}

/// The timings of `steps` steps' kernels after a prompt. The device must note them.
///
/// # Errors
/// Whatever fails.
pub fn steps_alone(model: &dyn Language, gpu: &Gpu, batch: usize, prefill: usize, steps: usize) -> Result<Vec<Timing>> {
    let texts = Texts::new(model, batch, prefill)?;
    let mut run = Run::begin(&texts, capacity(prefill, steps))?;
    let mut tokens = run.first()?;
    run.steps(WARM_STEPS, &mut tokens)?;
    gpu.take_timings()?;
    run.steps(steps, &mut tokens)?;
    Ok(gpu.take_timings()?)
}

/// Prompts without a pattern.
struct Texts<'a> {
    model: &'a dyn Language,
    prompts: Vec<Vec<u32>>,
    /// [batch]: nothing is given, all is to be chosen.
    nothing: Tensor,
}

impl<'a> Texts<'a> {
    fn new(model: &'a dyn Language, batch: usize, prefill: usize) -> gradus_models::Result<Self> {
        let vocabulary = model.configuration().vocab_size as u64;
        let token = |at: u64| ((at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33) % vocabulary) as u32;
        let text = |row: usize| (0..prefill).map(|at| token((row * prefill + at + 1) as u64)).collect();
        let nothing = Tensor::new(&model.device(), &[batch], &vec![NONE; batch])?;
        Ok(Self { model, prompts: (0..batch).map(text).collect(), nothing })
    }
}

/// A batch of texts being written, greedily.
struct Run<'a> {
    texts: &'a Texts<'a>,
    reader: Box<dyn Reader + 'a>,
    sampler: Sampler,
}

impl<'a> Run<'a> {
    fn begin(texts: &'a Texts<'a>, room: usize) -> gradus_models::Result<Self> {
        let options = Options { temperature: 0.0, top_k: None, top_p: 1.0, repetition_penalty: 1.0 };
        let begun: Vec<Text> = texts.prompts.iter().map(|_| Text { seed: 0, tokens: &[] }).collect();
        let (model, batch) = (texts.model, texts.prompts.len());
        let sampler = Sampler::new(&model.device(), options, model.configuration().vocab_size, &begun)?;
        Ok(Self { texts, reader: model.begin(batch, room)?, sampler })
    }

    /// Reads the prompts and waits for the first tokens.
    fn first(&mut self) -> gradus_models::Result<Tensor> {
        let prompts: Vec<&[u32]> = self.texts.prompts.iter().map(Vec::as_slice).collect();
        let logits = self.reader.read(&prompts)?;
        let chosen = self.sampler.choose(&logits, &self.texts.nothing)?;
        chosen.reports.to_vec::<u32>()?;
        Ok(chosen.tokens)
    }

    /// Writes `count` tokens more and waits for them; how long the host recorded.
    fn steps(&mut self, count: usize, tokens: &mut Tensor) -> gradus_models::Result<Duration> {
        let mut waiting: VecDeque<Reading<u32>> = VecDeque::new();
        let mut recording = Duration::ZERO;
        for _ in 0..count {
            let start = Instant::now();
            let logits = self.reader.step(tokens)?;
            let chosen = self.sampler.choose(&logits, &self.texts.nothing)?;
            *tokens = chosen.tokens;
            waiting.push_back(chosen.reports.read::<u32>()?);
            recording += start.elapsed();
            if waiting.len() > STEPS_AHEAD
                && let Some(reading) = waiting.pop_front()
            {
                reading.wait()?;
            }
        }
        for reading in waiting {
            reading.wait()?;
        }
        Ok(recording)
    }
}
