//! The runs of a sweep on a cluster: a Slurm job array with a task a run. Slurm schedules; this submits what is not finished,
//! and reads where its tasks are.
//!
//! [`job`] is what is submitted, [`queue`] what Slurm says of it.

pub mod job;
pub mod queue;

use std::io::Write;
use std::process::{Command, Output};

use super::folder::SweepFolder;
use super::runs::PlannedRun;
use super::standing::Standing;
use crate::device_choice::DeviceChoice;
use crate::error::{Result, TrainerError};
use crate::inference::print;
use crate::report::ask::quoted;
use job::Job;
use queue::Said;

/// Submits the runs that are neither finished nor in the queue.
///
/// # Errors
/// If `sbatch` is not there, or refuses: with its words.
pub fn submit(
    sweep: &SweepFolder,
    standings: &[(PlannedRun, Standing)],
    (options, device): (&[String], DeviceChoice),
    out: &mut dyn Write,
) -> Result<()> {
    let _one = sweep.lock_part("submission")?;
    let name = job::name(sweep)?;
    let waiting = queue::waiting(&name)?;
    let numbers = unfinished(standings).filter(|number| !waiting.contains_key(number)).collect::<Vec<_>>();
    let queued = unfinished(standings).count() - numbers.len();
    if queued > 0 {
        print(out, &format!("queue    {queued} runs are there already, as job {name}\n"))?;
    }
    if numbers.is_empty() {
        return print(out, "nothing is left to submit\n").map(drop);
    }
    let job = Job::new(sweep, name, &numbers, options, device)?;
    job.write(sweep)?;
    let said = output(job.command(), &job::line(&job.command()))?;
    // The job's number, and behind a semicolon the cluster's name.
    let number = said.split(';').next().unwrap_or_default().trim();
    let dir = sweep.path().display();
    print(
        out,
        &format!(
            "job      {number}: {} runs, a task each\nlogs     {dir}/{}\nsee how far they are: gradus sweep status {dir}\n",
            numbers.len(),
            job::FOLDER
        ),
    )
    .map(drop)
}

/// What Slurm says of the runs that are not finished.
#[derive(Debug, Default)]
pub struct Tasks {
    /// Of each that has or had a task.
    pub said: Said,
    /// What the user has to know, a line each.
    pub notes: String,
}

impl Tasks {
    /// Asks Slurm, if the sweep was ever submitted. Where it does not answer, that is a note: the folders say how far runs are.
    ///
    /// # Errors
    /// If the sweep's folder is not there.
    pub fn of(sweep: &SweepFolder, standings: &[(PlannedRun, Standing)]) -> Result<Self> {
        let mut tasks = Self::default();
        if !sweep.path().join(job::FOLDER).is_dir() {
            return Ok(tasks);
        }
        let name = job::name(sweep)?;
        tasks.said = match queue::waiting(&name) {
            Ok(waiting) => waiting,
            Err(error) => {
                tasks.notes = format!("note: {error}; which runs are in the queue is not known\n");
                return Ok(tasks);
            }
        };
        let left: Vec<usize> = unfinished(standings).filter(|number| !tasks.said.contains_key(number)).collect();
        if left.is_empty() {
            return Ok(tasks);
        }
        let ended = queue::ended(&name).unwrap_or_else(|error| {
            tasks.notes += &format!("note: {error}; how tasks ended is in their logs, {}\n", job::FOLDER);
            Said::new()
        });
        let said = |number| match ended.get(&number) {
            Some(ended) => format!("not in the queue: {ended}"),
            None => "not in the queue".into(),
        };
        tasks.notes += &format!(
            "note: runs neither finished nor in the queue: {}; gradus sweep --out {} --launch slurm submits them\n",
            left.len(),
            quoted(&sweep.path().display().to_string())
        );
        tasks.said.extend(left.into_iter().map(|number| (number, said(number))));
        Ok(tasks)
    }
}

/// The numbers of runs that are not finished, from 1.
pub fn unfinished(standings: &[(PlannedRun, Standing)]) -> impl Iterator<Item = usize> {
    standings.iter().enumerate().filter(|(_, (_, standing))| standing.is_unfinished()).map(|(place, _)| place + 1)
}

/// The standard output of one of Slurm's programs.
fn output(mut command: Command, line: &str) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let refuse =
        |problem: String, hint: &str| Err(TrainerError::Slurm { program: program.clone(), problem, hint: hint.into() });
    match command.output() {
        Ok(Output { status, stdout, .. }) if status.success() => Ok(String::from_utf8_lossy(&stdout).into_owned()),
        Ok(Output { status, stderr, .. }) => {
            let words = String::from_utf8_lossy(&stderr);
            let words = words.trim().trim_start_matches(&format!("{program}: ")).trim_start_matches("error: ");
            let words = if words.is_empty() { format!("it ended with {status}") } else { words.to_owned() };
            refuse(
                words,
                &format!("nothing was submitted. `scontrol ping` says whether Slurm is up; the command was: {line}"),
            )
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => refuse(
            "there is no such program in PATH".into(),
            "go to a machine of the cluster from which jobs are submitted, or make the runs here with --launch local",
        ),
        Err(error) => refuse(error.to_string(), &format!("the command was: {line}")),
    }
}
