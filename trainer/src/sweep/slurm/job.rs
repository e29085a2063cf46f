//! The job array of a sweep: its name, its script, and the command that submits it.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use sha2::{Digest, Sha256};

use crate::device_choice::DeviceChoice;
use crate::error::{Result, TrainerError};
use crate::report::ask::quoted;
use crate::sweep::folder::SweepFolder;

/// The folder of the script and of the tasks' logs, in the sweep's.
pub const FOLDER: &str = "slurm";
const SCRIPT: &str = "job.sh";

/// A job array.
pub struct Job {
    folder: PathBuf,
    name: String,
    array: String,
    options: Vec<String>,
    script: String,
}

/// The name under which Slurm has the sweep: its folder's, and a hash of the whole path. By it its tasks are found, so that
/// nothing has to be remembered between submitting them and asking for them.
///
/// # Errors
/// If the folder is not there.
pub fn name(sweep: &SweepFolder) -> Result<String> {
    let path = absolute(sweep)?;
    let hash = Sha256::digest(path.as_os_str().as_encoded_bytes());
    let hash: String = hash[..4].iter().map(|byte| format!("{byte:02x}")).collect();
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '-' };
    let folder: String = path.file_name().unwrap_or_default().to_string_lossy().chars().map(plain).collect();
    Ok(format!("gradus-{folder}-{hash}"))
}

fn absolute(sweep: &SweepFolder) -> Result<PathBuf> {
    fs::canonicalize(sweep.path()).map_err(TrainerError::io("find", sweep.path()))
}

impl Job {
    /// The array of the runs of these numbers, in rising order; `options` are the user's for `sbatch`.
    ///
    /// # Errors
    /// If the folder or this program's file are not to be found.
    pub fn new(
        sweep: &SweepFolder,
        name: String,
        numbers: &[usize],
        options: &[String],
        device: DeviceChoice,
    ) -> Result<Self> {
        let path = absolute(sweep)?;
        let program = std::env::current_exe().map_err(TrainerError::io("find", "gradus".as_ref()))?;
        Ok(Self {
            folder: path.join(FOLDER),
            name,
            array: ranges(numbers),
            options: options.to_vec(),
            script: script(&program.to_string_lossy(), &path.to_string_lossy(), device),
        })
    }

    /// Writes the script.
    ///
    /// # Errors
    /// The system's.
    pub fn write(&self, sweep: &SweepFolder) -> Result<()> {
        fs::create_dir_all(&self.folder).map_err(TrainerError::io("create", &self.folder))?;
        sweep.write(&format!("{FOLDER}/{SCRIPT}"), &self.script)
    }

    /// The command that submits it. A task that is requeued adds to its log; a minute before its time ends it is asked to save.
    /// What the user says comes last, and so counts.
    pub fn command(&self) -> Command {
        let mut command = Command::new("sbatch");
        // Slurm replaces %A by the job's number and %a by the task's; %% is one of the folder's own.
        let log = format!("{}/%A_%a.log", self.folder.to_string_lossy().replace('%', "%%"));
        command
            .args(["--parsable", "--requeue", "--open-mode=append", "--signal=B:TERM@60"])
            .args([format!("--job-name={}", self.name), format!("--array={}", self.array), format!("--output={log}")])
            .args(&self.options)
            .arg(self.folder.join(SCRIPT));
        command
    }
}

/// A command as a shell takes it.
pub fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| quoted(&word.to_string_lossy())).collect::<Vec<_>>().join(" ")
}

/// What a task does. It becomes the program, so that Slurm's signals reach it.
fn script(program: &str, sweep: &str, device: DeviceChoice) -> String {
    format!(
        "#!/bin/bash\n# A task of the job array makes the run of its number; a run that was stopped goes on from its last checkpoint.\n\
         exec {} sweep run {} \"$SLURM_ARRAY_TASK_ID\" --device {device}\n",
        quoted(program),
        quoted(sweep)
    )
}

/// Rising numbers as Slurm takes them: `1-3,7`.
fn ranges(numbers: &[usize]) -> String {
    let runs = numbers.chunk_by(|left, right| left + 1 == *right);
    let range = |run: &[usize]| match run {
        [one] => one.to_string(),
        [first, .., last] => format!("{first}-{last}"),
        [] => String::new(),
    };
    runs.map(range).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sweep::plan::Plan;

    #[test]
    fn an_array_names_what_is_left() {
        assert_eq!(ranges(&[1, 2, 3, 5, 8, 9]), "1-3,5,8-9");
        assert_eq!(ranges(&[4]), "4");
    }

    #[test]
    fn a_folder_has_one_name_whatever_it_is_called() {
        let parent = tempfile::tempdir().unwrap();
        let open = |name: &str| SweepFolder::create(&parent.path().join(name), &Plan::preset("demo").unwrap()).unwrap();
        let (sweep, other) = (open("my lab"), open("lab"));
        let again = SweepFolder::open(&parent.path().join("lab/../my lab")).unwrap();
        let name = name(&sweep).unwrap();
        assert_eq!(name, super::name(&again).unwrap());
        assert!(name.starts_with("gradus-my-lab-") && name != super::name(&other).unwrap(), "{name}");
    }

    #[test]
    fn folders_with_signs_of_the_shell_and_of_slurm_are_kept_whole() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("a 'b' 50% $c");
        let sweep = SweepFolder::create(&path, &Plan::preset("demo").unwrap()).unwrap();
        let options = ["--partition=gpu".to_string()];
        let job = Job::new(&sweep, "n".into(), &[2, 3], &options, DeviceChoice::Gpu(Some(1))).unwrap();
        job.write(&sweep).unwrap();
        let command = job.command();
        let words: Vec<_> = command.get_args().map(|word| word.to_string_lossy().into_owned()).collect();
        assert!(words.contains(&"--array=2-3".into()) && words.contains(&options[0]), "{words:?}");
        let log = words.iter().find(|word| word.starts_with("--output=")).unwrap();
        assert!(log.ends_with("/a 'b' 50%% $c/slurm/%A_%a.log"), "{log}");
        assert_eq!(words.last().unwrap(), &path.canonicalize().unwrap().join("slurm/job.sh").to_string_lossy());
        // The script's line is one word for the folder, as a shell reads it.
        let text = fs::read_to_string(path.join("slurm/job.sh")).unwrap();
        let echo = text.replace("exec ", "printf '%s\\n' ");
        let said = Command::new("bash").args(["-c", &echo]).env("SLURM_ARRAY_TASK_ID", "7").output().unwrap();
        let said = String::from_utf8(said.stdout).unwrap();
        let lines: Vec<&str> = said.lines().skip(1).collect();
        assert_eq!(lines, ["sweep", "run", &path.canonicalize().unwrap().to_string_lossy(), "7", "--device", "gpu:1"]);
    }
}
