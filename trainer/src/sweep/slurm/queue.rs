//! Where the tasks of a sweep are: in the queue, from `squeue`; ended, from `sacct` where the cluster keeps accounts.

use std::collections::BTreeMap;
use std::process::Command;

use super::{job, output};
use crate::error::Result;

/// How far back accounts are asked for.
const SINCE: &str = "--starttime=now-30days";

/// What Slurm says of tasks, by the numbers of their runs.
pub type Said = BTreeMap<usize, String>;

/// The tasks of the job of this name that Slurm has not done with, from `squeue`.
///
/// # Errors
/// If it is not there, or has no answer.
pub fn waiting(name: &str) -> Result<Said> {
    let mut command = Command::new("squeue");
    command.args(["--noheader", "--array", "--format=%i|%T|%r", &format!("--name={name}")]);
    let line = job::line(&command);
    Ok(said(&output(command, &line)?, |id, state, reason| match reason {
        "None" | "" => format!("{state} as {id}"),
        reason => format!("{state} ({reason}) as {id}"),
    }))
}

/// How the last task of each run ended, from `sacct`.
///
/// # Errors
/// If it is not there, or the cluster keeps no accounts.
pub fn ended(name: &str) -> Result<Said> {
    let mut command = Command::new("sacct");
    command.args(["--noheader", "--parsable2", "--allocations", "--format=JobID,State,ExitCode", SINCE]);
    command.arg(format!("--name={name}"));
    let line = job::line(&command);
    Ok(said(&output(command, &line)?, |id, state, code| format!("{state}, exit code {code}, as {id}")))
}

/// Lines of `12_3|PENDING|Resources`, a job with its task, a state and one thing more, from the oldest job to the newest: the
/// last of a task counts.
fn said(text: &str, words: impl Fn(&str, &str, &str) -> String) -> Said {
    let tasks = text.lines().filter_map(|line| {
        let [id, state, more] = line.split('|').collect::<Vec<_>>().try_into().ok()?;
        Some((number(id)?, words(id, state, more)))
    });
    tasks.collect()
}

/// The number behind a job's: 3 of `12_3`. A job array of which nothing is left has a range there, in brackets.
fn number(id: &str) -> Option<usize> {
    id.split_once('_')?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_are_found_by_their_numbers_and_the_last_counts() {
        let text = "7_1|FAILED|1:0\n7_2|COMPLETED|0:0\n8|RUNNING|None\n9_1|CANCELLED by 1000|0:15\n9_[3-4]|PENDING|0:0\nnoise\n";
        let found = said(text, |id, state, more| format!("{id} {state} {more}"));
        let expected = [(1, "9_1 CANCELLED by 1000 0:15".to_owned()), (2, "7_2 COMPLETED 0:0".to_owned())];
        assert_eq!(found, Said::from(expected));
        assert_eq!(said("", |_, _, _| String::new()), Said::new());
    }
}
