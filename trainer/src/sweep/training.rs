//! The runs of a sweep, one after another on one device, so that kernels are compiled once.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io::Write;
use std::path::Path;
use std::time::Instant;

use gradus_engine::Device;
use gradus_models::Model;

use super::folder::SweepFolder;
use super::runs::PlannedRun;
use super::standing::{self, Standing};
use crate::configuration::Configuration;
use crate::data::Corpus;
use crate::error::{Result, TrainerError};
use crate::interrupt::Interrupt;
use crate::progress::Progress;
use crate::run_folder::{self, Position, Row};
use crate::training::fitting::{self, Limits};
use crate::training::step::{self, Learner};
use crate::training::{Run, Setup, resume};

/// Where runs are trained, and on what.
pub struct Trainer {
    device: Device,
    why: String,
    corpora: BTreeMap<usize, Corpus>,
    interrupt: Interrupt,
}

impl Trainer {
    /// Runs on `device`; Ctrl-C is known by `interrupt`.
    pub fn new((device, why): (Device, String), interrupt: Interrupt) -> Self {
        Self { device, why, corpora: BTreeMap::new(), interrupt }
    }

    /// The device.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The text for a run, opened once for each context.
    ///
    /// # Errors
    /// If it cannot be used.
    pub fn corpus(&mut self, configuration: &Configuration) -> Result<&Corpus> {
        let context = configuration.model.context_length;
        Ok(match self.corpora.entry(context) {
            Entry::Occupied(opened) => opened.into_mut(),
            Entry::Vacant(place) => place.insert(Corpus::open(&configuration.data, context)?),
        })
    }

    /// Makes a run, or goes on with it, to its end. Returns the seconds that its training steps took.
    ///
    /// # Errors
    /// What goes wrong; [`TrainerError::Interrupted`] after Ctrl-C, when everything is saved.
    pub fn finish(&mut self, sweep: &SweepFolder, run: &PlannedRun, standing: &Standing) -> Result<f64> {
        let path = sweep.run(&run.name);
        let started = Instant::now();
        let setup = match standing {
            Standing::Begun { checkpoint, .. } => {
                let opened = (self.device.clone(), self.why.clone());
                resume::setup_on(checkpoint, None, |_| Ok(opened), started)?
            }
            _ => self.begin(&path, run, started)?,
        };
        let from = setup.rows.len();
        let length = setup.configuration.run_length();
        let progress = Progress::lines(length, u64::MAX, Box::new(Silent));
        let mut training = Run::new(setup, self.interrupt.clone(), progress)?;
        let result = training.train();
        let seconds = step_seconds(&training.setup().rows[from..]);
        let interrupted = self.interrupt.requested();
        // The last checkpoint is written when the run's threads have ended.
        drop(training);
        result?;
        if interrupted { Err(TrainerError::Interrupted) } else { Ok(seconds) }
    }

    fn begin(&mut self, path: &Path, run: &PlannedRun, started: Instant) -> Result<Setup> {
        let configuration = run.configuration.clone();
        let plan = fitting::check(&configuration, Limits::of(&self.device))?;
        let corpus = self.corpus(&configuration)?.clone();
        let (context, train) = (configuration.model.context_length, &configuration.train);
        let rows = corpus.batches(context, train.seed)?;
        let evaluation = corpus.evaluation_batches(context, train.batch, configuration.evaluation_windows())?;
        let model = Model::new(configuration.model.clone(), &self.device, train.seed)?
            .in_precision(configuration.precision.mode.into())?;
        let optimizer = step::optimizer(&model, &configuration.optimizer, &configuration.precision)?;
        standing::clear(path)?;
        let folder = run_folder::create(Some(path), &configuration)?;
        let position = Position { seed: train.seed, ..Position::default() };
        Ok(Setup {
            configuration,
            device: self.device.clone(),
            why: self.why.clone(),
            corpus,
            tokenizer: None,
            batches: rows,
            evaluation,
            learner: Learner::new(model, optimizer),
            plan,
            position,
            rows: Vec::new(),
            folder,
            started,
        })
    }
}

/// Seconds of the training steps among these rows; the first, which compiles kernels, counts as the mean of the others.
fn step_seconds(rows: &[Row]) -> f64 {
    let seconds: Vec<f64> = rows
        .iter()
        .filter_map(|row| match row {
            Row::Train(row) => Some(row.seconds),
            Row::Evaluation(_) | Row::Sample(_) => None,
        })
        .collect();
    match (seconds.first(), seconds.last()) {
        (Some(first), Some(last)) if seconds.len() > 1 => {
            (last - first) * seconds.len() as f64 / (seconds.len() - 1) as f64
        }
        _ => 0.0,
    }
}

/// A run of a sweep says nothing: the sweep has a line for it.
struct Silent;

impl Write for Silent {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
