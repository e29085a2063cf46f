//! `gradus bench train`: steps as the trainer takes them, each one's loss fetched while the next runs.

use std::io::Write;
use std::time::{Duration, Instant};

use gradus_engine::Device;
use gradus_models::Model;
use serde_json::json;

use super::inputs::words;
use super::print;
use super::session::Session;
use super::stopwatch::Spread;
use super::table::{self, Column, number, percent};
use crate::configuration::{BatchSize, Configuration, Flags, Layers, Mode, ModelBase};
use crate::data::Batch;
use crate::data::tokens::BYTE_VOCABULARY;
use crate::error::{Result, TrainerError};
use crate::figures;
use crate::model_source::ModelSource;
use crate::training::fitting::{self, Limits};
use crate::training::memory::Plan;
use crate::training::setup::check_precision;
use crate::training::setup::{DEFAULT_ON_CPU, DEFAULT_ON_GPU};
use crate::training::step::{self, Learner, Taken};
use crate::verbs::bench::TrainArguments;

/// Steps and seconds before anything counts.
const WARM_STEPS: u64 = 5;
const WARM_SECONDS: f64 = 0.5;
/// Stretches of steps whose speeds are compared.
const REPEATS: u64 = 7;
const DEFAULT_STEPS: u64 = 5 * REPEATS;
/// Words that a preset's model knows here.
const DEFAULT_VOCABULARY: u64 = 8192;
/// Batches that are trained on in turn.
const BATCHES: u32 = 4;

const COLUMNS: [Column; 9] = [
    Column::Number("tokens/s", 9),
    Column::Number("lowest", 9),
    Column::Number("highest", 9),
    Column::Number("ms/step", 9),
    Column::Number("recording, ms", 13),
    Column::Number("% of step", 9),
    Column::Number("memory, MiB", 11),
    Column::Number("planned, MiB", 12),
    Column::Number("first step after, s", 19),
];

/// Runs the sub-verb.
///
/// # Errors
/// An unknown model, sizes that no model can have, whatever fails in a step.
pub fn run(arguments: &TrainArguments, started: Instant, out: &mut dyn Write) -> Result<()> {
    let session = Session::open(arguments.device, false)?;
    let (mut bench, sizes) = Bench::warm(arguments, &session)?;
    let first_step = bench.first_done.map_or(0.0, |done| (done - started).as_secs_f64());
    let steps = arguments.steps.unwrap_or(DEFAULT_STEPS);
    let figures = Figures { first_step, ..bench.time(steps)? };
    if arguments.json {
        let row = figures.json(&sizes, &session);
        print(out, &format!("{:#}", session.json("train", vec![row])));
        return Ok(());
    }
    let warm = bench.step - steps;
    print(out, &session.head(&format!("{}; {steps} steps after {warm} to warm up", sizes.remark())));
    print(out, &table::head(&COLUMNS));
    print(out, &table::line(&COLUMNS, &figures.cells(&sizes, &session)));
    Ok(())
}

/// The model and its batch, from the preset or the file and the flags above it.
fn configuration(arguments: &TrainArguments, device: &Device) -> Result<Configuration> {
    let default = if device.is_gpu() { DEFAULT_ON_GPU } else { DEFAULT_ON_CPU };
    let (base, vocabulary) = match arguments.model.as_deref().map(ModelSource::find).transpose()? {
        None => (ModelBase::Preset(default.into()), Some(DEFAULT_VOCABULARY)),
        Some(ModelSource::Preset(name)) => (ModelBase::Preset(name.into()), Some(DEFAULT_VOCABULARY)),
        Some(ModelSource::File(path)) => (ModelBase::File(path), None),
        Some(ModelSource::Folder(path)) => {
            return Err(TrainerError::Usage {
                message: format!("--model: {} is a folder, and bench trains fresh weights", path.display()),
                hint: Some("name a preset or a TOML file, such as the config.toml in the folder of a run".into()),
            });
        }
    };
    let flags = Flags {
        batch: arguments.batch.map(BatchSize::Rows),
        context: arguments.context,
        steps: Some(1),
        gradient_checkpointing: arguments.gradient_checkpointing,
        ..Flags::default()
    };
    let mut configuration = Layers::read(None, flags)?.resolve(base, BYTE_VOCABULARY)?;
    if let Some(vocabulary) = arguments.vocabulary.or(vocabulary) {
        configuration.model.vocab_size = vocabulary as usize;
        configuration.model.validate()?;
    }
    if let Some(mode) = arguments.precision {
        configuration.precision.mode = mode;
    }
    fitting::choose(&mut configuration, Limits::of(device), u64::MAX)?;
    Ok(configuration)
}

/// What is trained, in numbers.
pub(super) struct Sizes {
    name: String,
    parameters: u64,
    vocabulary: usize,
    batch: usize,
    context: usize,
    planned: u64,
    mode: Mode,
    checkpointing: bool,
}

impl Sizes {
    fn of(configuration: &Configuration) -> Self {
        let (model, batch) = (&configuration.model, configuration.train.batch);
        Self {
            name: configuration.name(),
            parameters: model.parameters().total(),
            vocabulary: model.vocab_size,
            batch,
            context: model.context_length,
            mode: configuration.precision.mode,
            checkpointing: configuration.train.gradient_checkpointing,
            planned: Plan::new(configuration).total(),
        }
    }

    /// The same in words.
    pub(super) fn remark(&self) -> String {
        let Self { name, parameters, vocabulary, batch, context, .. } = self;
        format!(
            "{name}, {} parameters, {vocabulary} different tokens, {batch} x {context} tokens a step, {}{}",
            figures::count(*parameters as f64),
            self.mode.name(),
            if self.checkpointing { ", blocks computed again on the way back" } else { "" }
        )
    }
}

/// A model that is trained on random tokens.
pub struct Bench {
    learner: Learner,
    batches: Vec<Batch>,
    learning_rate: f64,
    step: u64,
    taken: Option<Taken>,
    /// Time that the host spent on recording and submitting.
    recording: Duration,
    first_done: Option<Instant>,
}

impl Bench {
    /// What is asked for, after some steps.
    pub(super) fn warm(arguments: &TrainArguments, session: &Session) -> Result<(Self, Sizes)> {
        let configuration = configuration(arguments, &session.device)?;
        let mut bench = Self::new(&configuration, &session.device)?;
        bench.warm_up()?;
        session.keep_kernels();
        Ok((bench, Sizes::of(&configuration)))
    }

    fn new(configuration: &Configuration, device: &Device) -> Result<Self> {
        let (model, batch) = (&configuration.model, configuration.train.batch);
        check_precision(configuration.precision.mode, device)?;
        fitting::check(configuration, Limits::of(device))?;
        let model = Model::new(model.clone(), device, configuration.train.seed)?;
        let model = model
            .in_precision(configuration.precision.mode.into())?
            .with_gradient_checkpointing(configuration.train.gradient_checkpointing);
        let optimizer = step::optimizer(&model, &configuration.optimizer, &configuration.precision)?;
        let (vocabulary, context) = (configuration.model.vocab_size, configuration.model.context_length);
        Ok(Self {
            learner: Learner::new(model, optimizer),
            batches: (0..BATCHES).map(|seed| random_batch(seed, batch, context, vocabulary)).collect(),
            learning_rate: configuration.optimizer.learning_rate,
            step: 0,
            taken: None,
            recording: Duration::ZERO,
            first_done: None,
        })
    }

    /// Takes a step, then waits for the one before.
    fn step(&mut self) -> Result<()> {
        let batch = &self.batches[self.step as usize % self.batches.len()];
        let start = Instant::now();
        let taken = self.learner.step(self.step + 1, std::slice::from_ref(batch), 0, self.learning_rate)?;
        self.recording += start.elapsed();
        self.step += 1;
        self.fetch()?;
        self.taken = Some(taken);
        Ok(())
    }

    /// Waits for the step that is on its way.
    fn fetch(&mut self) -> Result<()> {
        let Some(taken) = self.taken.take() else { return Ok(()) };
        let step = taken.step;
        let (_, report) = taken.wait()?;
        self.first_done.get_or_insert_with(Instant::now);
        if report.finite {
            return Ok(());
        }
        Err(TrainerError::NonFinite { step, problem: "the gradients are not finite".into() })
    }

    fn warm_up(&mut self) -> Result<()> {
        let start = Instant::now();
        // The first is waited for at once: when it is done is one of the figures.
        self.take(1)?;
        while self.step < WARM_STEPS || start.elapsed().as_secs_f64() < WARM_SECONDS {
            self.step()?;
        }
        Ok(())
    }

    /// Takes so many steps and waits for them.
    ///
    /// # Errors
    /// Whatever fails in a step.
    pub fn take(&mut self, steps: u64) -> Result<()> {
        (0..steps).try_for_each(|_| self.step())?;
        self.fetch()
    }

    /// Times `steps` steps, from the end of the one before them: a stretch ends when a loss arrives.
    fn time(&mut self, steps: u64) -> Result<Figures> {
        let repeats = REPEATS.min(steps);
        self.recording = Duration::ZERO;
        let start = Instant::now();
        let (mut seconds, mut done, mut mark) = (Vec::new(), 0, start);
        for repeat in 1..=repeats {
            let length = steps * repeat / repeats - done;
            (0..length).try_for_each(|_| self.step())?;
            seconds.push(mark.elapsed().as_secs_f64() / length as f64);
            mark = Instant::now();
            done += length;
        }
        let total = start.elapsed().as_secs_f64() / steps as f64;
        let recording = self.recording.as_secs_f64() / steps as f64;
        self.fetch()?;
        Ok(Figures { seconds: Spread::of(seconds), mean: total, recording, first_step: 0.0 })
    }
}

/// Random tokens, and the next of each as its target.
fn random_batch(seed: u32, batch: usize, context: usize, vocabulary: usize) -> Batch {
    let tokens: Vec<u32> =
        words(seed, batch * (context + 1)).into_iter().map(|word| word % vocabulary as u32).collect();
    let rows = || tokens.chunks_exact(context + 1);
    Batch {
        inputs: rows().flat_map(|row| &row[..context]).copied().collect(),
        targets: rows().flat_map(|row| &row[1..]).copied().collect(),
        first: None,
        batch,
        context,
    }
}

/// What was measured.
struct Figures {
    /// Seconds a step.
    seconds: Spread,
    /// Their mean over everything.
    mean: f64,
    /// Seconds that the host records a step.
    recording: f64,
    /// Seconds from the start of the program until the first step was done.
    first_step: f64,
}

impl Figures {
    fn tokens(&self, sizes: &Sizes) -> Spread {
        let rate = |seconds: f64| (sizes.batch * sizes.context) as f64 / seconds;
        let Spread { median, lowest, highest } = self.seconds;
        Spread { median: rate(median), lowest: rate(highest), highest: rate(lowest) }
    }

    /// Milliseconds that the host records, and their share of the step; a CPU computes meanwhile.
    fn recording(&self, session: &Session) -> Option<(f64, f64)> {
        session.gpu().map(|_| (1e3 * self.recording, self.recording / self.mean))
    }

    fn cells(&self, sizes: &Sizes, session: &Session) -> Vec<String> {
        let (tokens, recording) = (self.tokens(sizes), self.recording(session));
        let mebibytes = |bytes: u64| number(bytes as f64 / f64::from(1 << 20));
        vec![
            number(tokens.median),
            number(tokens.lowest),
            number(tokens.highest),
            number(1e3 * self.seconds.median),
            table::optional(recording.map(|(milliseconds, _)| milliseconds)),
            percent(recording.map(|(_, share)| share)),
            mebibytes(session.device.memory().1),
            mebibytes(sizes.planned),
            number(self.first_step),
        ]
    }

    fn json(&self, sizes: &Sizes, session: &Session) -> serde_json::Value {
        let recording = self.recording(session);
        json!({
            "model": sizes.name,
            "parameters": sizes.parameters,
            "vocabulary": sizes.vocabulary,
            "batch": sizes.batch,
            "context": sizes.context,
            "precision": sizes.mode.name(),
            "gradient_checkpointing": sizes.checkpointing,
            "tokens_per_second": self.tokens(sizes).json(),
            "step_milliseconds": self.seconds.times(1e3).json(),
            "recording_milliseconds": recording.map(|(milliseconds, _)| milliseconds),
            "recording_share": recording.map(|(_, share)| share),
            "peak_bytes": session.device.memory().1,
            "planned_bytes": sizes.planned,
            "first_step_seconds": self.first_step,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tiny() -> TrainArguments {
        TrainArguments {
            model: Some("llama-tiny".into()),
            batch: Some(2),
            context: Some(16),
            vocabulary: Some(40),
            ..TrainArguments::default()
        }
    }

    #[test]
    fn targets_are_the_next_tokens() {
        let batch = random_batch(1, 3, 5, 40);
        assert_eq!((batch.inputs.len(), batch.targets.len()), (15, 15));
        assert!(batch.inputs.iter().chain(&batch.targets).all(|token| *token < 40));
        for (inputs, targets) in batch.inputs.chunks(5).zip(batch.targets.chunks(5)) {
            assert_eq!(inputs[1..], targets[..4]);
        }
    }

    #[test]
    fn flags_reach_the_model_and_presets_know_8192_words() {
        let device = Device::cpu();
        let made = configuration(&tiny(), &device).unwrap();
        assert_eq!((made.model.vocab_size, made.model.context_length, made.train.batch), (40, 16, 2));
        let made = configuration(&TrainArguments { vocabulary: None, ..tiny() }, &device).unwrap();
        assert_eq!(made.model.vocab_size, 8192);
        let made = configuration(&TrainArguments::default(), &device).unwrap();
        assert_eq!((made.name().as_str(), made.train.batch), ("xlstm-tiny", 8));
        let folder = TrainArguments { model: Some(".".into()), ..tiny() };
        assert_eq!(configuration(&folder, &device).unwrap_err().exit_code(), 2);
    }

    #[test]
    fn the_speed_is_that_of_the_steps() {
        let device = Device::cpu();
        let configuration = configuration(&tiny(), &device).unwrap();
        let mut bench = Bench::new(&configuration, &device).unwrap();
        bench.warm_up().unwrap();
        let warm = bench.step;
        let start = Instant::now();
        let figures = bench.time(9).unwrap();
        let all = start.elapsed().as_secs_f64();
        assert_eq!((bench.step, bench.taken.is_none()), (warm + 9, true));
        let tokens = figures.tokens(&Sizes::of(&configuration));
        assert!(tokens.lowest <= tokens.median && tokens.median <= tokens.highest);
        // No nine steps are faster than nine times the fastest stretch, none slower than nine times the slowest.
        let mean = 9.0 * 32.0 / (9.0 * figures.mean);
        assert!((tokens.lowest..=tokens.highest).contains(&mean) && figures.mean * 9.0 <= all, "{mean} {tokens:?}");
    }
}
