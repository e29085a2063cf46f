//! The folder of a sweep: `sweep.toml`, `runs/` with a folder a run, `failures/` with a file a failed run, `runs.csv`, and what
//! keeps processes apart: `.lock` for the whole, `locks/` for its parts.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use super::plan::Plan;
use crate::error::{Result, TrainerError};
use crate::run_folder::storage::{Disk, replace};

/// The plan as it was when the sweep began.
pub const PLAN_FILE: &str = "sweep.toml";
/// The table of finished runs.
pub const RESULTS_FILE: &str = "runs.csv";
const RUNS: &str = "runs";
const FAILURES: &str = "failures";
const LOCK_FILE: &str = ".lock";
const LOCKS: &str = "locks";

/// A sweep's folder.
#[derive(Clone, Debug)]
pub struct SweepFolder {
    path: PathBuf,
}

fn refuse<T>(path: &Path, problem: String, hint: &str) -> Result<T> {
    Err(TrainerError::RunFolder { path: path.to_owned(), problem, hint: hint.into() })
}

impl SweepFolder {
    /// The folder of a sweep that began before.
    ///
    /// # Errors
    /// If it is none.
    pub fn open(path: &Path) -> Result<Self> {
        if path.join(PLAN_FILE).is_file() {
            return Ok(Self { path: path.to_owned() });
        }
        let problem = format!("it has no {PLAN_FILE}, so it is not the folder of a sweep");
        refuse(path, problem, "name the --out folder of a sweep; gradus sweep PLAN.toml --out DIR begins one")
    }

    /// The folder for a plan: a new or empty one, or that of a sweep with the same plan.
    ///
    /// # Errors
    /// If it holds another sweep, or anything else.
    pub fn create(path: &Path, plan: &Plan) -> Result<Self> {
        let sweep = Self { path: path.to_owned() };
        if path.join(PLAN_FILE).is_file() {
            return match difference(&sweep.plan()?, plan)? {
                None => Ok(sweep),
                Some(key) => refuse(
                    path,
                    format!("it holds another sweep: `{key}` of its {PLAN_FILE} differs from the plan"),
                    "name another folder with --out; without a plan, gradus sweep --out DIR goes on with the sweep there",
                ),
            };
        }
        sweep.refuse_foreign()?;
        let runs = sweep.path.join(RUNS);
        fs::create_dir_all(&runs).map_err(TrainerError::io("create", &runs))?;
        sweep.write(PLAN_FILE, &plan.text()?)?;
        Ok(sweep)
    }

    /// What a killed start may have left is no foreign file.
    fn refuse_foreign(&self) -> Result<()> {
        let entries = match fs::read_dir(&self.path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(_) if self.path.is_file() => {
                return refuse(&self.path, "it is a file".into(), "name a folder with --out");
            }
            entries => entries.map_err(TrainerError::io("read", &self.path))?,
        };
        let ours = |name: &str| {
            name == LOCK_FILE || name.starts_with(".tmp-") || (name == RUNS && is_empty(&self.path.join(RUNS)))
        };
        let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
        match names.into_iter().find(|name| !ours(name)) {
            Some(name) => refuse(
                &self.path,
                format!("it holds files that are not of a sweep, for instance {name}"),
                "name an empty or new folder with --out",
            ),
            None => Ok(()),
        }
    }

    /// Keeps every other process out until the result is dropped.
    ///
    /// # Errors
    /// If another process has it.
    pub fn lock(&self) -> Result<File> {
        let file = self.lock_file(Path::new(LOCK_FILE))?;
        let taken = file.try_lock();
        self.taken(file, taken, "another process is running this sweep")
    }

    /// Keeps out processes that want the whole sweep; others that share it may work beside this one.
    ///
    /// # Errors
    /// If another process has the whole.
    pub fn share(&self) -> Result<File> {
        let file = self.lock_file(Path::new(LOCK_FILE))?;
        let taken = file.try_lock_shared();
        self.taken(file, taken, "another process is running this sweep")
    }

    /// Keeps processes that share the sweep from a part of it: a run, by its name, or else.
    ///
    /// # Errors
    /// If another process has the part.
    pub fn lock_part(&self, part: &str) -> Result<File> {
        let file = self.lock_file(&Path::new(LOCKS).join(part))?;
        let taken = file.try_lock();
        self.taken(file, taken, &format!("another process is at work on {part}"))
    }

    /// Waits until no other process writes the table of results.
    ///
    /// # Errors
    /// The system's.
    pub fn lock_results(&self) -> Result<File> {
        let path = Path::new(LOCKS).join(RESULTS_FILE);
        let file = self.lock_file(&path)?;
        file.lock().map_err(TrainerError::io("lock", &self.path.join(path)))?;
        Ok(file)
    }

    fn lock_file(&self, name: &Path) -> Result<File> {
        let path = self.path.join(name);
        let parent = path.parent().unwrap_or(&self.path);
        fs::create_dir_all(parent).map_err(TrainerError::io("create", parent))?;
        let mut options = File::options();
        options.create(true).truncate(false).write(true).open(&path).map_err(TrainerError::io("open", &path))
    }

    fn taken(&self, file: File, taken: Result<(), TryLockError>, problem: &str) -> Result<File> {
        match taken {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => {
                refuse(&self.path, problem.into(), "wait until it ends; gradus sweep status DIR shows how far it is")
            }
            Err(TryLockError::Error(error)) => Err(TrainerError::io("lock", &self.path)(error)),
        }
    }

    /// The plan that the sweep began with.
    ///
    /// # Errors
    /// If it was damaged.
    pub fn plan(&self) -> Result<Plan> {
        Plan::read(&self.path.join(PLAN_FILE))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The folder of a run.
    pub fn run(&self, name: &str) -> PathBuf {
        self.path.join(RUNS).join(name)
    }

    /// Folders among the runs that the plan does not have.
    pub fn unplanned(&self, planned: &[&str]) -> Vec<String> {
        let entries = fs::read_dir(self.path.join(RUNS)).into_iter().flatten().flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        let mut others: Vec<String> = names.filter(|name| !planned.contains(&name.as_str())).collect();
        others.sort();
        others
    }

    fn failure_file(&self, name: &str) -> PathBuf {
        self.path.join(FAILURES).join(format!("{name}.txt"))
    }

    /// Why a run failed, if it did.
    pub fn failure(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.failure_file(name)).ok().map(|reason| reason.trim_end().to_owned())
    }

    /// Remembers why a run failed.
    ///
    /// # Errors
    /// The system's.
    pub fn record_failure(&self, name: &str, reason: &str) -> Result<()> {
        let parent = self.path.join(FAILURES);
        fs::create_dir_all(&parent).map_err(TrainerError::io("create", &parent))?;
        let path = self.failure_file(name);
        replace(&Disk, &path, format!("{reason}\n").as_bytes()).map_err(TrainerError::io("write", &path))
    }

    /// Forgets a failure: what the run left is removed, so that it is made anew.
    ///
    /// # Errors
    /// The system's.
    pub fn forget_failure(&self, name: &str) -> Result<()> {
        let run = self.run(name);
        if run.exists() {
            fs::remove_dir_all(&run).map_err(TrainerError::io("remove", &run))?;
        }
        let path = self.failure_file(name);
        fs::remove_file(&path).map_err(TrainerError::io("remove", &path))
    }

    /// Writes a file of the sweep as one event.
    ///
    /// # Errors
    /// The system's.
    pub fn write(&self, name: &str, text: &str) -> Result<()> {
        let path = self.path.join(name);
        replace(&Disk, &path, text.as_bytes()).map_err(TrainerError::io("write", &path))
    }
}

fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none())
}

/// The first key in which two plans differ.
fn difference(left: &Plan, right: &Plan) -> Result<Option<String>> {
    if left == right {
        return Ok(None);
    }
    let keys = |plan: &Plan| plan.text().map(|text| text.parse::<toml::Table>().unwrap_or_default());
    let (left, right) = (keys(left)?, keys(right)?);
    let differs = left.keys().chain(right.keys()).find(|key| left.get(*key) != right.get(*key));
    Ok(Some(differs.cloned().unwrap_or_else(|| "plan".into())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_belongs_to_one_plan() {
        let parent = tempfile::tempdir().unwrap();
        let out = parent.path().join("a/b");
        let plan = Plan::preset("demo").unwrap();
        let sweep = SweepFolder::create(&out, &plan).unwrap();
        assert_eq!(SweepFolder::open(&out).unwrap().plan().unwrap(), plan);
        SweepFolder::create(&out, &plan).unwrap();
        let other = Plan { spread: 3.0, ..plan.clone() };
        let error = SweepFolder::create(&out, &other).unwrap_err();
        assert!(error.to_string().contains("another sweep: `spread`"), "{error}");
        let with_rate = Plan { learning_rate: Some(1e-3), ..plan.clone() };
        let error = SweepFolder::create(&out, &with_rate).unwrap_err();
        assert!(error.to_string().contains("`learning_rate`"), "{error}");
        let held = sweep.lock().unwrap();
        assert!(sweep.lock().unwrap_err().to_string().contains("another process"));
        drop(held);
        // A sweep is had as a whole or shared, a part of it by one process.
        let shared = [sweep.share().unwrap(), sweep.share().unwrap()];
        assert!(sweep.lock().is_err());
        let part = sweep.lock_part("run").unwrap();
        assert!(sweep.lock_part("run").unwrap_err().to_string().contains("at work on run"));
        drop((shared, part));
        let _whole = sweep.lock().unwrap();
        assert!(sweep.share().unwrap_err().to_string().contains("another process"));
    }

    #[test]
    fn foreign_folders_stay_as_they_are() {
        let parent = tempfile::tempdir().unwrap();
        let plan = Plan::preset("demo").unwrap();
        fs::write(parent.path().join("thesis.tex"), "x").unwrap();
        let error = SweepFolder::create(parent.path(), &plan).unwrap_err();
        assert!(error.to_string().contains("not of a sweep, for instance thesis.tex"), "{error}");
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 1);
        let error = SweepFolder::create(&parent.path().join("thesis.tex"), &plan).unwrap_err();
        assert!(error.to_string().contains("it is a file"), "{error}");
        let error = SweepFolder::open(parent.path()).unwrap_err();
        assert!(error.to_string().contains("not the folder of a sweep"), "{error}");
        // What a start that was killed left behind is no obstacle.
        let killed = tempfile::tempdir().unwrap();
        fs::create_dir(killed.path().join(RUNS)).unwrap();
        fs::write(killed.path().join(".tmp-sweep.toml"), "stu").unwrap();
        SweepFolder::create(killed.path(), &plan).unwrap();
    }

    #[test]
    fn failures_are_remembered_and_forgotten() {
        let parent = tempfile::tempdir().unwrap();
        let sweep = SweepFolder::create(parent.path(), &Plan::preset("demo").unwrap()).unwrap();
        assert_eq!(sweep.failure("a"), None);
        fs::create_dir(sweep.run("a")).unwrap();
        sweep.record_failure("a", "step 3: not finite").unwrap();
        assert_eq!(sweep.failure("a").as_deref(), Some("step 3: not finite"));
        sweep.forget_failure("a").unwrap();
        assert_eq!((sweep.failure("a"), sweep.run("a").exists()), (None, false));
    }
}
