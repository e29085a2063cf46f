//! Going on with a run from one of its checkpoints, with the same bits as if it had never stopped.

use std::path::Path;
use std::time::Instant;

use gradus_engine::Device;
use gradus_engine::device::gpu;
use gradus_engine::ops::optimizer::{Moments, Optimizer, Standing};
use gradus_models::folder;

use super::best::Best;
use super::saving::{TRAINING_FILE, first_moment, second_moment};
use super::setup::{Prepared, Setup, run_of};
use super::step::{self, Learner};
use crate::configuration::Configuration;
use crate::configuration::shape::first_difference;
use crate::device_choice::DeviceChoice;
use crate::error::{Result, TrainerError};
use crate::run_folder::storage::Disk;
use crate::run_folder::{self, Position, Row, checkpoint, metrics};

/// The run at `path`, which is its folder, its `checkpoint/` or one of its steps, at that step or the latest. Later steps
/// and rows are removed. `device` overrides the configuration's; `stop_at` is where it is to stop again.
///
/// # Errors
/// If there is no whole checkpoint, it does not fit the run's configuration, or the run is over or beyond `stop_at`.
pub fn setup(path: &Path, device: Option<DeviceChoice>, stop_at: Option<u64>, started: Instant) -> Result<Setup> {
    let open = |choice: DeviceChoice| choice.open(gpu::Options::from_environment());
    setup_on(path, stop_at, |configured| open(device.unwrap_or(configured)), started)
}

/// The same on the device that `open` gives, which is told what the configuration asks for.
///
/// # Errors
/// As [`setup`], and that of `open`.
pub fn setup_on(
    path: &Path,
    stop_at: Option<u64>,
    open: impl FnOnce(DeviceChoice) -> Result<(Device, String)>,
    started: Instant,
) -> Result<Setup> {
    let run = run_of(path);
    if !run.join(run_folder::CONFIGURATION_FILE).is_file() {
        return Err(TrainerError::RunFolder {
            path: path.to_owned(),
            problem: format!("it has no {}, so it is not the folder of a run", run_folder::CONFIGURATION_FILE),
            hint: "name the --out folder of a run, or one of its steps".into(),
        });
    }
    let configuration = run_folder::configuration(&run)?;
    let step_folder = checkpoint::find_step(path)?;
    let position = checkpoint::read_step(&step_folder)?;
    refuse_unfit(&configuration, &position, &run)?;
    if let Some(stop) = stop_at.filter(|stop| *stop <= position.step) {
        return Err(TrainerError::Usage {
            message: format!("--stop-at {stop}: the run stands at step {} already", position.step),
            hint: Some(format!("name a later step, or an earlier checkpoint of {}", run.display())),
        });
    }
    let (device, why) = open(configuration.train.device)?;
    let prepared = Prepared::new(&configuration, &device)?;
    if !position.data.is_empty() && position.data != prepared.corpus.identity {
        return Err(TrainerError::RunFolder {
            path: run,
            problem: format!("the data is not what the run was trained on: {} was changed", prepared.corpus.name),
            hint: "bring the data back as it was, or train on from the weights in a new run with --init RUN_FOLDER"
                .into(),
        });
    }
    let model = folder::load(&step_folder, &device)?
        .in_precision(configuration.precision.mode.into())?
        .with_gradient_checkpointing(configuration.train.gradient_checkpointing);
    if let Some((key, [there, here])) = first_difference(model.configuration(), &configuration.model)? {
        let problem = format!(
            "its model is not that of the run's configuration: `{key}` is {there} in the checkpoint, {here} there"
        );
        return Err(broken(&step_folder, &problem));
    }
    let mut optimizer = step::optimizer(&model, &configuration.optimizer, &configuration.precision)?;
    restore(&mut optimizer, &position, &step_folder)?;
    // From here on the run changes.
    checkpoint::discard_after(&Disk, &run, position.step)?;
    let rows = metrics::cut_back(&Disk, &run, position.step)?;
    if configuration.checkpoint.best {
        checkpoint::mark_best(&Disk, &run, Best::among(&rows, &run).map(|best| best.step))?;
    }
    let learner = Learner::new(model, optimizer);
    Ok(prepared.into_setup(configuration, (device, why), learner, (position, rows), run, started))
}

fn broken(folder: &Path, problem: &str) -> TrainerError {
    TrainerError::Checkpoint {
        path: folder.to_owned(),
        problem: problem.into(),
        hint: "the run's config.toml or the checkpoint was changed; name another step with --resume".into(),
    }
}

fn refuse_unfit(configuration: &Configuration, position: &Position, run: &Path) -> Result<()> {
    if position.seed != configuration.train.seed {
        return Err(broken(run, "the checkpoint has another seed than the run's configuration"));
    }
    // An interrupt may have come between the last step and the evaluation after it: that is still to be made.
    let is_evaluated = |row: &Row| matches!(row, Row::Evaluation(row) if row.step == position.step);
    if configuration.run_length().is_over(position.step, position.seconds)
        && metrics::read(run)?.iter().any(is_evaluated)
    {
        return Err(TrainerError::RunFolder {
            path: run.to_owned(),
            problem: format!("the run is over: it ended after step {}", position.step),
            hint: "train on from its weights in a new run with --init RUN_FOLDER".into(),
        });
    }
    Ok(())
}

fn restore(optimizer: &mut Optimizer, position: &Position, step_folder: &Path) -> Result<()> {
    let path = step_folder.join(TRAINING_FILE);
    let file = folder::File::open(&path)?;
    let tensors = file.tensors()?;
    let parameters = optimizer.parameters().to_vec();
    if let Some(extra) = tensors.len().checked_sub(2 * parameters.len()).filter(|extra| *extra > 0) {
        return Err(broken(&path, &format!("it has {extra} tensors too many")));
    }
    // Moments go through the CPU: the optimizer makes its own copies on its device.
    let device = Device::cpu();
    let read = |name: &str, spec: gradus_engine::Spec| {
        let view = tensors.get(name).ok_or_else(|| broken(&path, &format!("tensor `{name}` is missing")))?;
        if view.shape() != spec.shape.sizes() {
            let problem = format!("tensor `{name}` has shape {:?}, the model says {:?}", view.shape(), spec.shape);
            return Err(broken(&path, &problem));
        }
        Ok(folder::to_tensor(&path, name, view, &device)?)
    };
    let moments: Result<Vec<Moments>> = parameters
        .iter()
        .map(|parameter| {
            Ok(Moments {
                first: read(&first_moment(&parameter.name), parameter.spec)?,
                second: read(&second_moment(&parameter.name), parameter.spec)?,
            })
        })
        .collect();
    let standing = Standing {
        steps: position.step,
        applied: position.applied,
        loss_scale: position.loss_scale,
        in_a_row: position.in_a_row,
    };
    Ok(optimizer.restore(standing, moments?)?)
}
