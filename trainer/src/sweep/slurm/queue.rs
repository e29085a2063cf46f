//! Where the tasks of a sweep are: in the queue, from `squeue`; ended, from `sacct` where the cluster keeps accounts.

use std::collections::BTreeMap;
use std::process::Command;

use super::{job, output};
use crate::error::Result;

/// How far back accounts are asked for.
const SINCE: &str = "now-30days";

/// The tasks of a sweep that Slurm has not done with, by the numbers of their runs.
#[derive(Debug, Default, PartialEq)]
pub struct Queue {
    tasks: BTreeMap<usize, String>,
}

impl Queue {
    /// Asks `squeue` for the job of this name.
    ///
    /// # Errors
    /// If it is not there, or has no answer.
    pub fn ask(name: &str) -> Result<Self> {
        let mut command = Command::new("squeue");
        command.args(["--noheader", "--array", "--format=%i|%T|%r", &format!("--name={name}")]);
        let line = job::line(&command);
        Ok(Self::parse(&output(command, &line)?))
    }

    /// Lines of `12_3|PENDING|Resources`: a job and its task, a state, and why it is in it.
    fn parse(text: &str) -> Self {
        let tasks = text.lines().filter_map(|line| {
            let mut cells = line.split('|');
            let id = cells.next()?.trim();
            let state = cells.next()?;
            let said = match cells.next() {
                Some(reason) if !["None", ""].contains(&reason) => format!("{state} ({reason}) as {id}"),
                _ => format!("{state} as {id}"),
            };
            Some((number(id)?, said))
        });
        Self { tasks: tasks.collect() }
    }

    /// What Slurm says of the run of this number, if it is there.
    pub fn said(&self, number: usize) -> Option<&str> {
        self.tasks.get(&number).map(String::as_str)
    }
}

/// How the last task of each run ended, from `sacct`.
#[derive(Debug, Default, PartialEq)]
pub struct Ended {
    tasks: BTreeMap<usize, String>,
}

impl Ended {
    /// Asks `sacct` for the job of this name.
    ///
    /// # Errors
    /// If it is not there, or the cluster keeps no accounts.
    pub fn ask(name: &str) -> Result<Self> {
        let mut command = Command::new("sacct");
        let since = format!("--starttime={SINCE}");
        command.args(["--noheader", "--parsable2", "--allocations", "--format=JobID,State,ExitCode"]);
        command.args([since, format!("--name={name}")]);
        let line = job::line(&command);
        Ok(Self::parse(&output(command, &line)?))
    }

    /// Lines of `12_3|TIMEOUT|0:15`, from the oldest job to the newest.
    fn parse(text: &str) -> Self {
        let tasks = text.lines().filter_map(|line| {
            let [id, state, code] = line.split('|').collect::<Vec<_>>().try_into().ok()?;
            Some((number(id)?, format!("{state}, exit code {code}, as {id}")))
        });
        Self { tasks: tasks.collect() }
    }

    /// How the task of this run ended.
    pub fn said(&self, number: usize) -> Option<&str> {
        self.tasks.get(&number).map(String::as_str)
    }
}

/// The number behind a job's: 3 of `12_3`. A job array of which nothing is left has a range there, in brackets.
fn number(id: &str) -> Option<usize> {
    id.split_once('_')?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_are_found_by_their_numbers() {
        let queue = Queue::parse("7_1|RUNNING|None\n7_12|PENDING|Resources\n8|RUNNING|None\nnoise\n");
        assert_eq!(queue.said(1), Some("RUNNING as 7_1"));
        assert_eq!(queue.said(12), Some("PENDING (Resources) as 7_12"));
        assert_eq!((queue.said(8), queue.said(2)), (None, None));
        assert_eq!(Queue::parse(""), Queue::default());
    }

    #[test]
    fn the_last_task_of_a_run_counts() {
        let ended =
            Ended::parse("7_1|FAILED|1:0\n7_2|COMPLETED|0:0\n9_1|CANCELLED by 1000|0:15\n9_[3-4]|PENDING|0:0\n");
        assert_eq!(ended.said(1), Some("CANCELLED by 1000, exit code 0:15, as 9_1"));
        assert_eq!(ended.said(2), Some("COMPLETED, exit code 0:0, as 7_2"));
        assert_eq!(ended.said(3), None);
    }
}
