//! Makes runs: one after another on a device, and on several devices beside each other.

use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Instant;

use super::folder::SweepFolder;
use super::runs::PlannedRun;
use super::standing::Standing;
use super::training::Trainer;
use crate::error::{Result, TrainerError};
use crate::figures;
use crate::inference::print;
use crate::interrupt::Interrupt;

/// Makes every run that is not finished, each on the first device that is free. Returns the seconds of their training steps.
///
/// # Errors
/// What would meet every run, such as a full disk or a lost device: then the other devices stop too, with everything saved.
pub fn make(
    sweep: &SweepFolder,
    trainers: &mut [Trainer],
    standings: &[(PlannedRun, Standing)],
    (interrupt, out): (&Interrupt, &mut dyn Write),
) -> Result<f64> {
    let todo: Vec<(usize, &(PlannedRun, Standing))> =
        standings.iter().enumerate().filter(|(_, (_, standing))| standing.is_unfinished()).collect();
    let next = AtomicUsize::new(0);
    let (sender, receiver) = mpsc::channel();
    std::thread::scope(|scope| {
        for trainer in trainers {
            let (sender, next, todo) = (sender.clone(), &next, &todo);
            scope.spawn(move || {
                while let Some((place, (run, standing))) = todo.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let made = one(sweep, trainer, run, standing).map(|made| (place + 1, run, made));
                    let failed = made.is_err();
                    if sender.send(made).is_err() || failed {
                        break;
                    }
                }
            });
        }
        drop(sender);
        let mut seconds = 0.0;
        let mut stopped = None;
        for made in receiver {
            let said = made.and_then(|(number, run, made)| {
                seconds += made.step_seconds;
                print(out, &line(number, standings.len(), run, &made))
            });
            if let Err(error) = said {
                interrupt.request();
                // The others end because of the first.
                stopped.get_or_insert(error);
            }
        }
        stopped.map_or(Ok(seconds), Err)
    })
}

/// What came of a run.
pub struct Made {
    /// Seconds of its training steps.
    pub step_seconds: f64,
    seconds: f64,
    said: String,
}

/// A run's line.
pub fn line(number: usize, of: usize, run: &PlannedRun, made: &Made) -> String {
    format!("{number:>3}/{of} {:<40} {} in {}\n", run.name, made.said, figures::time(made.seconds))
}

/// Makes a run, or goes on with it, to its end; a failure of its own is recorded.
///
/// # Errors
/// What would meet every run.
pub fn one(sweep: &SweepFolder, trainer: &mut Trainer, run: &PlannedRun, standing: &Standing) -> Result<Made> {
    let started = Instant::now();
    let (step_seconds, failure) = match trainer.finish(sweep, run, standing) {
        Ok(seconds) => (seconds, diverged(sweep, run)?),
        Err(error) if is_the_runs_own(&error) => (0.0, Some(error.to_string())),
        Err(error) => return Err(error),
    };
    let said = match failure {
        Some(reason) => {
            sweep.record_failure(&run.name, &reason)?;
            format!("failed: {reason}")
        }
        None => match Standing::of(sweep, run) {
            Standing::Finished(finished) => format!("loss {:.4}", finished.validation_loss),
            _ => "not finished".into(),
        },
    };
    Ok(Made { step_seconds, seconds: started.elapsed().as_secs_f64(), said })
}

/// Why a run that came to its end has not learned: its loss is worse than that of guessing every byte alike.
fn diverged(sweep: &SweepFolder, run: &PlannedRun) -> Result<Option<String>> {
    let guessing = (run.configuration.model.vocab_size as f64).ln();
    match Standing::of(sweep, run) {
        Standing::Finished(finished) if finished.validation_loss.is_nan() || finished.validation_loss > guessing => {
            let loss = finished.validation_loss;
            Ok(Some(format!("diverged: the validation loss is {loss:.4}, and guessing has {guessing:.4}")))
        }
        Standing::Finished(_) => Ok(None),
        _ => Err(TrainerError::RunFolder {
            path: sweep.run(&run.name),
            problem: "the run came to its end and its last checkpoint is not there".into(),
            hint: "see whether the disk is full, then start the sweep again: it goes on from what was saved".into(),
        }),
    }
}

/// Errors that say something of this run alone. Others, such as a full disk or a lost device, would meet every run.
fn is_the_runs_own(error: &TrainerError) -> bool {
    matches!(
        error,
        TrainerError::NonFinite { .. }
            | TrainerError::Memory { .. }
            | TrainerError::Engine(_)
            | TrainerError::Weights(_)
            | TrainerError::Model(_)
    )
}
