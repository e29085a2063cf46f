//! `gradus check`: every operation against its definition, or a folder of reference vectors.

mod long;
pub mod operations;
mod table;
pub mod vectors;

use std::io::Write;

use crate::error::Result;
use crate::interrupt::Interrupt;
use crate::verbs::check::Arguments;

/// Runs what the flags ask for, and prints a line for each thing as it is checked. On a GPU every tensor has a band behind
/// it that no kernel may touch.
///
/// # Errors
/// [`TrainerError::ChecksFailed`](crate::TrainerError::ChecksFailed) if something is over its bound or cannot be read; an
/// unknown operation; no such device; a folder that holds no vectors.
pub fn run(arguments: &Arguments, out: &mut dyn Write) -> Result<()> {
    match &arguments.vectors {
        Some(folder) => vectors::run(folder, arguments.device, arguments.operation.as_deref(), out),
        None if arguments.long => long::run(arguments, &Interrupt::install()?, out),
        None => operations::run(arguments, out),
    }
}

/// Prints a line at once. Nobody may be reading; the exit code tells the verdict.
fn print(out: &mut dyn Write, line: &str) {
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
