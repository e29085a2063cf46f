//! Where each run of a sweep stands, read from its folder alone.

use std::fs;
use std::path::{Path, PathBuf};

use super::folder::SweepFolder;
use super::runs::PlannedRun;
use crate::configuration::Configuration;
use crate::error::{Result, TrainerError};
use crate::run_folder::{self, Row, checkpoint, metrics};

/// Where a run stands.
#[derive(Clone, Debug, PartialEq)]
pub enum Standing {
    /// It has not begun, or was killed before its first checkpoint.
    Waiting,
    /// It goes on from the step of this folder.
    Begun {
        /// Steps that are saved.
        step: u64,
        /// The step's folder.
        checkpoint: PathBuf,
    },
    /// It has its last step and its validation loss.
    Finished(Finished),
    /// It failed or diverged.
    Failed(String),
    /// Its folder is not as the sweep left it.
    Damaged(String),
}

/// What a finished run has to say.
#[derive(Clone, Debug, PartialEq)]
pub struct Finished {
    /// Validation loss after the last step, nats a token.
    pub validation_loss: f64,
    /// Training loss of the last step.
    pub training_loss: f64,
    /// Mean seconds of a step, the first left out: it compiles kernels.
    pub step_seconds: Option<f64>,
    /// The device of its last step, with its driver.
    pub device: String,
}

impl Standing {
    /// Whether there is something to make.
    pub fn is_unfinished(&self) -> bool {
        matches!(self, Self::Waiting | Self::Begun { .. })
    }

    /// Where a run stands.
    pub fn of(sweep: &SweepFolder, run: &PlannedRun) -> Self {
        if let Some(reason) = sweep.failure(&run.name) {
            return Self::Failed(reason);
        }
        let folder = sweep.run(&run.name);
        if !folder.exists() {
            return Self::Waiting;
        }
        look(&folder, run).unwrap_or_else(|error| Self::Damaged(error.to_string()))
    }
}

fn look(folder: &Path, run: &PlannedRun) -> Result<Standing> {
    let damaged = |problem: String| Ok(Standing::Damaged(format!("run folder {}: {problem}", folder.display())));
    if let Some(name) = foreign(folder)? {
        return damaged(format!("it holds {name}, which is not of a run"));
    }
    if !folder.join(run_folder::CONFIGURATION_FILE).exists() {
        return match only_half_made(folder) {
            true => Ok(Standing::Waiting),
            false => damaged(format!("{} is missing", run_folder::CONFIGURATION_FILE)),
        };
    }
    if !is_same(&run_folder::configuration(folder)?, &run.configuration) {
        return damaged(format!("its {} is not that of the plan's run", run_folder::CONFIGURATION_FILE));
    }
    let steps = folder.join(checkpoint::FOLDER);
    let step_folder = match checkpoint::find_step(folder) {
        Ok(step_folder) => step_folder,
        Err(_) if only_half_made(&steps) => return Ok(Standing::Waiting),
        Err(error) => return Err(error),
    };
    let position = checkpoint::read_step(&step_folder)?;
    let rows = metrics::read(folder)?;
    if position.step == run.steps
        && let Some(finished) = finished(&rows, run.steps, &position.device)
    {
        return Ok(Standing::Finished(finished));
    }
    Ok(Standing::Begun { step: position.step, checkpoint: step_folder })
}

/// The last row says the loss on held-out text after the last step.
fn finished(rows: &[Row], steps: u64, device: &str) -> Option<Finished> {
    let validation_loss = rows.iter().rev().find_map(|row| match row {
        Row::Evaluation(row) if row.step == steps => Some(row.validation_loss),
        _ => None,
    })?;
    let trained: Vec<_> = rows
        .iter()
        .filter_map(|row| match row {
            Row::Train(row) => Some(row),
            Row::Evaluation(_) | Row::Sample(_) => None,
        })
        .collect();
    let last = trained.last().filter(|row| row.step == steps)?;
    let first = trained.first()?;
    let step_seconds =
        (last.step > first.step).then(|| (last.seconds - first.seconds) / (last.step - first.step) as f64);
    Some(Finished { validation_loss, training_loss: last.loss, step_seconds, device: device.into() })
}

/// The device may be another one than before.
fn is_same(there: &Configuration, planned: &Configuration) -> bool {
    let mut planned = planned.clone();
    planned.train.device = there.train.device;
    *there == planned
}

const FILES: [&str; 4] = [run_folder::CONFIGURATION_FILE, metrics::FILE, run_folder::plot::FILE, checkpoint::FOLDER];

/// A file that no run writes.
fn foreign(folder: &Path) -> Result<Option<String>> {
    let entries = fs::read_dir(folder).map_err(TrainerError::io("read", folder))?;
    let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    Ok(names.into_iter().find(|name| !FILES.contains(&name.as_str()) && !name.starts_with(".tmp-")))
}

/// Whether all that is in a folder, or in none, is what writing leaves when it is killed.
fn only_half_made(folder: &Path) -> bool {
    let mut entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.all(|entry| entry.file_name().to_string_lossy().starts_with(".tmp-"))
}

/// Makes room for a run that waits: what a start without a checkpoint left is removed, all of which its first steps make again.
///
/// # Errors
/// If something cannot be removed.
pub fn clear(folder: &Path) -> Result<()> {
    if folder.exists() { fs::remove_dir_all(folder).map_err(TrainerError::io("remove", folder)) } else { Ok(()) }
}
