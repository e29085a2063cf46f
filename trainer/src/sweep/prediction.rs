//! How long the runs of a sweep will take, from a stated rate or from a few steps of some of them on this device.

use std::time::Instant;

use gradus_models::Model;
use gradus_models::configuration::Architecture;

use super::runs::PlannedRun;
use super::shapes::flops_per_token;
use super::training::Trainer;
use crate::error::Result;
use crate::training::step::{self, Learner};

/// A measurement ends after this time or this number of steps.
const SECONDS: f64 = 1.0;
const STEPS: u64 = 30;
/// Steps before it: the first compiles kernels.
const WARM_UP: u64 = 2;

/// Seconds a token of one architecture and context: a + b·FLOPs a token, through the smallest and the largest model.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Line {
    architecture: Architecture,
    context: usize,
    start: f64,
    slope: f64,
}

/// What predicts the time of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Prediction {
    lines: Vec<Line>,
    rate: Option<f64>,
}

impl Prediction {
    /// From FLOPs a second.
    pub fn stated(rate: f64) -> Self {
        Self { lines: Vec::new(), rate: Some(rate) }
    }

    /// A first guess, from steps of the smallest model of each architecture and context alone: larger ones have its rate.
    ///
    /// # Errors
    /// What a step meets.
    pub fn rough(trainer: &mut Trainer, runs: &[PlannedRun]) -> Result<Self> {
        let mut lines: Vec<Line> = Vec::new();
        let mut rising: Vec<&PlannedRun> = runs.iter().collect();
        rising.sort_by_key(|run| run.parameters());
        for run in rising {
            let (architecture, context) = kind(run);
            if lines.iter().all(|line| (line.architecture, line.context) != (architecture, context)) {
                let slope = seconds_per_token(trainer, run)? / cost(run);
                lines.push(Line { architecture, context, start: 0.0, slope });
            }
        }
        Ok(Self { lines, rate: None })
    }

    /// From steps of the smallest and the largest model of each architecture and context.
    ///
    /// # Errors
    /// What a step meets.
    pub fn measured(trainer: &mut Trainer, runs: &[PlannedRun]) -> Result<Self> {
        let mut lines: Vec<Line> = Vec::new();
        for run in runs {
            let (architecture, context) = kind(run);
            if lines.iter().any(|line| (line.architecture, line.context) == (architecture, context)) {
                continue;
            }
            let alike = || runs.iter().filter(|other| kind(other) == (architecture, context));
            let (Some(least), Some(most)) =
                (alike().min_by_key(|run| run.parameters()), alike().max_by_key(|run| run.parameters()))
            else {
                continue;
            };
            let (low, high) = (cost(least), cost(most));
            let (fast, slow) = (seconds_per_token(trainer, least)?, seconds_per_token(trainer, most)?);
            let slope = if high > low { ((slow - fast) / (high - low)).max(0.0) } else { 0.0 };
            lines.push(Line { architecture, context, start: (slow - slope * high).max(0.0), slope });
        }
        Ok(Self { lines, rate: None })
    }

    /// Seconds of a run's steps.
    pub fn seconds(&self, run: &PlannedRun) -> f64 {
        if let Some(rate) = self.rate {
            return run.flops() / rate;
        }
        let line = self.lines.iter().find(|line| (line.architecture, line.context) == kind(run));
        line.map_or(f64::NAN, |line| (line.start + line.slope * cost(run)) * run.tokens() as f64)
    }

    /// Seconds of the steps of all runs.
    pub fn total(&self, runs: &[PlannedRun]) -> f64 {
        runs.iter().map(|run| self.seconds(run)).sum()
    }
}

fn kind(run: &PlannedRun) -> (Architecture, usize) {
    (run.configuration.model.architecture, run.configuration.model.context_length)
}

fn cost(run: &PlannedRun) -> f64 {
    flops_per_token(&run.configuration.model)
}

fn seconds_per_token(trainer: &mut Trainer, run: &PlannedRun) -> Result<f64> {
    let configuration = &run.configuration;
    let train = &configuration.train;
    let windows = trainer.corpus(configuration)?.batches(configuration.model.context_length, train.seed)?;
    let model = Model::new(configuration.model.clone(), trainer.device(), train.seed)?
        .in_precision(configuration.precision.mode.into())?;
    let optimizer = step::optimizer(&model, &configuration.optimizer, &configuration.precision)?;
    let mut learner = Learner::new(model, optimizer);
    let mut one = |step: u64| {
        let batch = windows.batch(step * train.batch as u64, train.batch);
        learner.step(step + 1, &[batch], 0, configuration.optimizer.learning_rate)?.wait()
    };
    (0..WARM_UP).try_for_each(|step| one(step).map(drop))?;
    let started = Instant::now();
    let mut steps = 0;
    while steps < STEPS && started.elapsed().as_secs_f64() < SECONDS {
        one(WARM_UP + steps)?;
        steps += 1;
    }
    Ok(started.elapsed().as_secs_f64() / (steps as f64 * configuration.tokens_per_step() as f64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sweep::{plan::Plan, runs::runs};

    #[test]
    fn a_stated_rate_and_a_line_give_the_time() {
        let runs = runs(&Plan::preset("demo").unwrap()).unwrap();
        let stated = Prediction::stated(1e10);
        assert!(runs.iter().all(|run| (stated.seconds(run) / (run.budget / 1e10) - 1.0).abs() < 0.01));
        let (architecture, context) = kind(&runs[0]);
        let line = Line { architecture, context, start: 1e-6, slope: 1e-10 };
        let measured = Prediction { lines: vec![line], rate: None };
        let expected = 1e-6 * runs[0].tokens() as f64 + 1e-10 * runs[0].flops();
        assert!((measured.seconds(&runs[0]) / expected - 1.0).abs() < 1e-12);
    }
}
