//! The program gradus: reads the command line, runs the verb, and says with its exit code how it went.
//!
//! 0: done. 1: something went wrong. 2: the command line or a configuration is wrong. 3: the device was lost.
//! 130: interrupted, and everything is saved.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use gradus_trainer::data::preparing;
use gradus_trainer::verbs::{CommandLine, Verb, fit, predict};
use gradus_trainer::{
    Result, TrainerError, bench, checking, counting, device_report, inference, plotting, report, sweep, timing,
    tokenizing, training,
};

fn main() -> ExitCode {
    let started = Instant::now();
    let result = match CommandLine::parse().verb() {
        Verb::Train(arguments) => training::train(&arguments, started),
        Verb::Generate(arguments) => inference::generate::run(&arguments),
        Verb::Eval(arguments) => inference::evaluate::run(&arguments, &mut io::stdout().lock()),
        Verb::Logits(arguments) => inference::logits::run(&arguments),
        Verb::Count(arguments) => counting::run(&arguments, &mut io::stdout().lock()),
        Verb::Export(arguments) => inference::export::run(&arguments),
        Verb::Data(arguments) => preparing::run(&arguments),
        Verb::Tokenizer(arguments) => tokenizing::run(&arguments),
        Verb::Devices(arguments) if arguments.json => print(&format!("{:#}\n", device_report::json())),
        Verb::Devices(_) => print(&device_report::text()),
        Verb::Check(arguments) => checking::run(&arguments, &mut io::stdout().lock()),
        Verb::Time(arguments) => timing::run(&arguments, &mut io::stdout().lock()),
        Verb::Bench(arguments) => bench::run(&arguments, started, &mut io::stdout().lock()),
        Verb::Profile(arguments) => bench::profile::run(&arguments, &mut io::stdout().lock()),
        Verb::Plot(arguments) => plotting::run(&arguments, &mut io::stdout().lock()),
        Verb::Report(arguments) => report::run(&arguments, &mut io::stdout().lock()),
        Verb::Sweep(arguments) => sweep::run(&arguments, started, &mut io::stdout().lock()),
        Verb::Fit(arguments) => fit::run(arguments).map_err(TrainerError::from).and_then(|text| print(&text)),
        Verb::Predict(arguments) => predict::run(arguments).map_err(TrainerError::from).and_then(|text| print(&text)),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Where nobody reads standard error, the exit code is all there is.
            let _ = writeln!(io::stderr(), "{}", error.text());
            ExitCode::from(error.exit_code())
        }
    }
}

/// Writes to standard output. A reader that is gone, such as `head`, has what it wanted.
fn print(text: &str) -> Result<()> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(TrainerError::io("write to", "standard output".as_ref())(error))
        }
        _ => Ok(()),
    }
}
