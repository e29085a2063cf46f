//! `gradus bench`: how fast this machine is. [`train`] times whole steps; [`kernels`] operations at fixed sizes; [`ladder`] the
//! versions of a kernel. `gradus profile` is here too: [`profile`] says which kernels a step consists of, as a table ([`split`])
//! and as a trace ([`trace`]). [`session`] is the device and what is said about it, [`stopwatch`] how a launch is timed,
//! [`inputs`] what it is given, [`table`] how the figures are printed.

pub(crate) mod inputs;
pub mod kernels;
pub mod ladder;
pub mod profile;
pub(crate) mod session;
pub(crate) mod split;
pub(crate) mod stopwatch;
pub(crate) mod table;
mod trace;
pub mod train;

use std::io::Write;
use std::time::Instant;

use crate::error::Result;
use crate::verbs::bench::{Arguments, What};

/// Times what is asked for and prints the figures. `started` is when the program was.
///
/// # Errors
/// An unknown model or row, a device that is not there or has no clock, and whatever fails while it is timed.
pub fn run(arguments: &Arguments, started: Instant, out: &mut dyn Write) -> Result<()> {
    match &arguments.what {
        What::Train(arguments) => train::run(arguments, started, out),
        What::Kernels(arguments) => kernels::run(arguments, out),
        What::Ladder(arguments) => ladder::run(arguments, out),
    }
}

/// Prints a line at once. A reader that is gone, such as `head`, has what it wanted.
pub(crate) fn print(out: &mut dyn Write, line: &str) {
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
