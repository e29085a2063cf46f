//! A sweep as a Slurm job array, on a cluster of Debian's own packages that `slurm/cluster.sh` starts on the loopback address.
//! Without them it is skipped; with `GRADUS_REQUIRE_SLURM=1` it fails.

mod program;

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use program::{errors, folder_with_text, gradus, results, succeed};

/// Six runs of some seconds each: long enough to be stopped in their midst.
const PLAN: &str = "study = 'isoflop'\narchitectures = ['xlstm', 'transformer']\nbudgets = [1.5e10]\ncontexts = [32]\n\
    sizes = 3\nwidth_step = 8\ndata = 'text.txt'\ntokens_per_parameter = 1.0\nevaluation_tokens = 2048\nbatch_tokens = 128\n";

/// Everything is waited for so long.
const PATIENCE: Duration = Duration::from_secs(300);

/// A cluster that runs until this is dropped.
struct Cluster {
    folder: PathBuf,
}

impl Cluster {
    fn start(folder: PathBuf) -> Option<Self> {
        // Two ports that are free now.
        let ports = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let ports = ports.map(|port| port.local_addr().unwrap().port().to_string());
        let cluster = Self { folder };
        let output = cluster.script("start", &ports);
        if !output.status.success() {
            lacking(&format!("the cluster did not start: {}", errors(&output)));
            return None;
        }
        Some(cluster)
    }

    fn script(&self, action: &str, more: &[String]) -> Output {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("slurm/cluster.sh");
        Command::new(script).arg(action).arg(&self.folder).args(more).output().unwrap()
    }

    fn slurm(&self, program: &str, arguments: &[&str]) -> Output {
        Command::new(program).args(arguments).env("SLURM_CONF", self.folder.join("slurm.conf")).output().unwrap()
    }

    fn gradus(&self, folder: &Path, line: &str) -> Command {
        let mut command = gradus(folder, line);
        command.env("SLURM_CONF", self.folder.join("slurm.conf"));
        command
    }

    fn said(&self, folder: &Path, line: &str) -> String {
        let output = self.gradus(folder, line).output().unwrap();
        assert!(output.status.success(), "gradus {line}: {}", errors(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Asks for the sweep's status until it is as wanted.
    fn wait(&self, folder: &Path, what: &str, is: impl Fn(&str) -> bool) -> String {
        let started = Instant::now();
        loop {
            let status = self.said(folder, "sweep status d");
            if is(&status) {
                return status;
            }
            assert!(started.elapsed() < PATIENCE, "not {what}:\n{status}\n{}", self.logs(folder));
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn logs(&self, folder: &Path) -> String {
        let ours = fs::read_dir(folder.join("d/slurm")).into_iter().flatten();
        let theirs = fs::read_dir(&self.folder).into_iter().flatten();
        let logs = ours
            .chain(theirs)
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension() == Some("log".as_ref()));
        logs.map(|path| format!("{}:\n{}\n", path.display(), fs::read_to_string(&path).unwrap_or_default())).collect()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.script("stop", &[]);
    }
}

fn is_installed() -> bool {
    // Where Debian has daemons, and not everybody's PATH.
    let places = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin";
    let is_there = |program: &&str| places.split(':').any(|place| Path::new(place).join(program).exists());
    let missing: Vec<&str> =
        ["munged", "slurmctld", "slurmd", "sbatch"].into_iter().filter(|program| !is_there(program)).collect();
    if !missing.is_empty() {
        lacking(&format!("{} are not installed (Debian: slurm-wlm, munge)", missing.join(", ")));
    }
    missing.is_empty()
}

/// Skips, or fails where Slurm must be there.
fn lacking(reason: &str) {
    assert!(std::env::var("GRADUS_REQUIRE_SLURM").as_deref() != Ok("1"), "GRADUS_REQUIRE_SLURM=1, but {reason}");
    println!("skipped: {reason}");
}

/// The number of a task that is being made and has saved steps, such as `3_2`.
fn running_and_saved(status: &str) -> Option<&str> {
    let line = status.lines().find(|line| line.contains("step ") && line.contains("RUNNING as "))?;
    Some(line.split("RUNNING as ").nth(1)?.trim())
}

#[test]
fn a_cluster_makes_the_runs_that_one_machine_makes() {
    if !is_installed() {
        return;
    }
    let folder = folder_with_text();
    let folder = folder.path();
    fs::write(folder.join("plan.toml"), PLAN).unwrap();
    succeed(folder, "sweep plan.toml --out here --device cpu");
    let expected = results(&folder.join("here"));
    assert_eq!(expected.len(), 7);

    let Some(cluster) = Cluster::start(folder.join("cluster")) else { return };
    let submit = "sweep plan.toml --out d --device cpu --launch slurm --slurm-options --cpus-per-task=1";
    let said = cluster.said(folder, submit);
    assert!(said.contains(": 6 runs, a task each") && said.contains("gradus sweep status d"), "{said}");
    // What is in the queue is not submitted again, by whatever name the folder is called.
    let again = cluster.said(folder, "sweep --out ./d --device cpu --launch slurm");
    assert!(again.contains("6 runs are there already") && again.contains("nothing is left to submit"), "{again}");
    // A task that is requeued goes on from what it saved.
    let status = cluster.wait(folder, "begun", |status| running_and_saved(status).is_some());
    let task = running_and_saved(&status).unwrap().to_owned();
    let requeued = cluster.slurm("scontrol", &["requeue", &task]);
    assert!(requeued.status.success(), "{}", errors(&requeued));
    let log = folder.join(format!("d/slurm/{task}.log"));
    let starts = || fs::read_to_string(&log).unwrap_or_default().matches("device   CPU").count();
    cluster.wait(folder, "requeued", |_| {
        // By itself Slurm waits two minutes after the task has ended.
        cluster.slurm("scontrol", &["update", &format!("JobId={task}"), "StartTime=now"]);
        starts() == 2
    });

    // A sweep that a cluster makes is not made here too.
    let here = cluster.gradus(folder, "sweep --out d --device cpu").output().unwrap();
    assert_eq!(here.status.code(), Some(1));
    assert!(errors(&here).contains("another process is running this sweep"), "{}", errors(&here));

    // Cancelled tasks leave what they saved; they are said to be missing, and submitted again.
    let name = cluster.slurm("squeue", &["--noheader", "--format=%j"]);
    let name = String::from_utf8(name.stdout).unwrap().lines().next().unwrap().trim().to_owned();
    assert!(name.starts_with("gradus-d-"), "{name}");
    cluster.slurm("scancel", &["--name", &name]);
    // A task that is being ended is in the queue still, and would not be submitted.
    let status =
        cluster.wait(folder, "cancelled", |status| !status.contains(" as ") && status.contains("nor in the queue"));
    assert!(status.contains("not in the queue") && status.contains("0 damaged"), "{status}");
    assert!(status.contains("note: sacct: Slurm accounting storage is disabled"), "{status}");
    assert!(status.contains("gradus sweep --out d --launch slurm submits them"), "{status}");
    let said = cluster.said(folder, submit);
    assert!(said.contains("runs, a task each"), "{said}");
    let status = cluster.wait(folder, "finished", |status| status.contains("6 runs: 6 finished"));
    assert!(!status.contains("note:"), "{status}");
    assert_eq!(results(&folder.join("d")), expected);
    let nothing = cluster.said(folder, submit);
    assert!(nothing.contains("nothing is left to submit"), "{nothing}");

    // Without a controller the folders still say how far it is, and nothing is submitted.
    drop(cluster);
    let cluster = Cluster { folder: folder.join("cluster") };
    let status = cluster.said(folder, "sweep status d");
    assert!(status.contains("6 runs: 6 finished") && status.contains("note: squeue: "), "{status}");
    fs::remove_dir_all(folder.join("d/runs")).unwrap();
    let refused = cluster.gradus(folder, submit).output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    let words = errors(&refused);
    assert!(words.contains("squeue: ") && words.contains("nothing was submitted"), "{words}");
}

/// What needs no cluster.
#[test]
fn what_slurm_cannot_do_is_said() {
    let folder = folder_with_text();
    let folder = folder.path();
    fs::write(folder.join("plan.toml"), PLAN).unwrap();
    fs::create_dir(folder.join("empty")).unwrap();
    let without = |line: &str| {
        let output = gradus(folder, line).env("PATH", folder.join("empty")).output().unwrap();
        (output.status.code(), errors(&output) + &String::from_utf8_lossy(&output.stdout))
    };
    let submit = "sweep plan.toml --out d --device cpu --launch slurm";
    for (line, code, says) in [
        (submit.into(), 1, "squeue: there is no such program in PATH"),
        (submit.into(), 1, "--launch local"),
        (format!("{submit} --budget 1h"), 2, "--rate"),
        ("sweep plan.toml --out d --slurm-options --mem=1G".into(), 2, "add --launch slurm"),
        ("sweep run d 7".into(), 2, "numbered from 1 to 6"),
        ("sweep run d 0".into(), 2, "there is no run 0"),
        ("sweep run here 1".into(), 1, "not the folder of a sweep"),
    ] {
        let (status, said) = without(&line);
        assert_eq!(status, Some(code), "{line}: {said}");
        assert!(said.contains(says), "{line}: {said}");
    }
    // A task by hand makes its run alone; then it has nothing to do.
    let made = succeed(folder, "sweep run d 2 --device cpu");
    assert!(String::from_utf8_lossy(&made.stdout).contains("  2/6 "), "{made:?}");
    let again = succeed(folder, "sweep run d 2 --device cpu");
    assert!(String::from_utf8_lossy(&again.stdout).contains("is finished"), "{again:?}");
    assert_eq!(results(&folder.join("d")).len(), 2);
    // A sweep that was never submitted asks nobody.
    let (status, said) = without("sweep status d");
    assert!(status == Some(0) && said.contains("6 runs: 1 finished") && !said.contains("squeue"), "{said}");
}
