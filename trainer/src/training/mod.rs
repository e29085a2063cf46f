//! Training: [`setup`] makes everything ready, [`run`] is the loop, [`step`] one step of it, [`evaluation`] the loss on
//! held-out text, [`saving`] the checkpoints, [`resume`] the way back from one, [`initial`] weights to start from, [`best`] which
//! of them is the best, [`clock`] what the time goes into, [`memory`] what is planned, [`fitting`] which batch fits, [`ceiling`]
//! how fast the device is at most, [`sample`] the text at the end.

pub mod best;
pub mod ceiling;
pub mod clock;
pub mod evaluation;
pub mod fitting;
pub mod initial;
pub mod memory;
pub mod resume;
pub mod run;
pub mod sample;
pub mod saving;
pub mod setup;
pub mod step;

use std::io::{IsTerminal, Write};
use std::time::Instant;

use crate::counting;
use crate::error::Result;
use crate::interrupt::Interrupt;
use crate::progress::Progress;
use crate::verbs::train::Arguments;

use ceiling::Ceiling;
pub use run::Run;
pub use setup::Setup;

/// `gradus train`: the first screen, the run, the sample and the summary.
///
/// # Errors
/// Whatever is wrong with the arguments or goes wrong in the run; [`crate::TrainerError::Interrupted`] after Ctrl-C, when
/// everything is saved.
pub fn train(arguments: &Arguments, started: Instant) -> Result<()> {
    let interrupt = Interrupt::install()?;
    let setup = Setup::new(arguments, started)?;
    // Nobody may be reading; the run's files tell the same.
    let _ = write!(std::io::stderr(), "{}", setup.first_screen().text());
    let mut progress = Progress::new(setup.configuration.run_length(), setup.configuration.train.log_every);
    if progress.is_bar() {
        compare(&mut progress, &setup);
    }
    let stdout = std::io::stdout();
    let run = Run::new(setup, interrupt, progress)?.stopping_at(arguments.stop_at);
    run.finish_with_sample(stdout.is_terminal(), &mut stdout.lock())
}

/// Has the bar show speeds as shares of the device's ceiling.
fn compare(progress: &mut Progress, setup: &Setup) {
    let (model, precision) = (&setup.configuration.model, setup.configuration.precision.mode);
    match Ceiling::measure(&setup.device, precision, setup.plan.of_step()) {
        Ok(ceiling) => {
            let context = model.context_length as u64;
            progress.compare(ceiling, counting::shape(model).training_flops(context, 1.0) / context as f64);
        }
        // The bar is without it; what the run cannot do without is met again there.
        Err(error) => progress.say(&format!("note     the device's ceiling could not be measured: {error}")),
    }
}
