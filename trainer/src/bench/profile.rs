//! `gradus profile`: the kernels of a training step, by the device's own clock.

use std::io::Write;

use super::session::Session;
use super::train::Bench;
use super::{print, split, trace};
use crate::error::{Result, TrainerError};
use crate::run_folder::storage::{Disk, replace};
use crate::verbs::profile::Arguments;

const DEFAULT_STEPS: u64 = 5;

/// Takes some steps and prints what they consist of.
///
/// # Errors
/// A device without a clock, an unknown model, sizes that no model can have, whatever fails in a step, a trace that cannot be
/// written.
pub fn run(arguments: &Arguments, out: &mut dyn Write) -> Result<()> {
    let training = &arguments.training;
    let session = Session::open(training.device, true)?;
    let Some(gpu) = session.gpu() else {
        return Err(TrainerError::Usage {
            message: format!(
                "profile: the times of single kernels come from a GPU's own clock, and this runs on {}",
                session.device.name()
            ),
            hint: Some("name a GPU with --device gpu; `gradus bench train` times whole steps on the CPU too".into()),
        });
    };
    let (mut bench, sizes) = Bench::warm(training, &session)?;
    bench.take(1)?;
    gpu.take_timings()?;
    let steps = training.steps.unwrap_or(DEFAULT_STEPS);
    bench.take(steps)?;
    let timings = gpu.take_timings()?;
    if let Some(path) = &arguments.trace {
        let title = format!("{}, {}", session.device.name(), sizes.remark());
        let text = trace::of(&timings, &title).to_string();
        replace(&Disk, path, text.as_bytes()).map_err(TrainerError::io("write", path))?;
    }
    split::show(&session, "profile", &timings, steps, (&sizes.remark(), training.json), out);
    if let (Some(path), false) = (&arguments.trace, training.json) {
        let path = path.display();
        print(
            out,
            &format!("trace    {path}, {} dispatches: open it in ui.perfetto.dev or chrome://tracing", timings.len()),
        );
    }
    Ok(())
}
