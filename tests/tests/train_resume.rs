//! A resumed run has the bits of one that was never stopped; an interrupted one saves, and a killed one loses little.

mod program;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use program::{errors, folder_with_text, metrics, run, saved, succeed};

const STEPS: u64 = 40;

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// A configuration that evaluates and saves often and keeps every checkpoint.
fn configuration(folder: &Path, model: &str) {
    let text = format!(
        "[model]\npreset = \"{model}\"\ncontext_length = 64\n[data]\npath = \"text.txt\"\n[train]\ndevice = \"cpu\"\nbatch = 2\n\
         steps = {STEPS}\n[evaluation]\nevery = 10\ntokens = 512\nsample_tokens = 8\n[checkpoint]\nevery = 5\nkeep = 100\n"
    );
    fs::write(folder.join("run.toml"), text).unwrap();
}

#[test]
fn resumed_from_any_step_the_bits_are_the_same() {
    for model in ["xlstm-tiny", "llama-tiny"] {
        let folder = folder_with_text();
        configuration(folder.path(), model);
        succeed(folder.path(), "train --config run.toml --out whole");
        let whole = folder.path().join("whole");
        for step in [5, 10, 35] {
            let out = folder.path().join(format!("from-{step}"));
            copy(&whole, &out);
            succeed(folder.path(), &format!("train --resume from-{step}/checkpoint/step-{step:08}"));
            assert_eq!(metrics(&out), metrics(&whole), "{model} from step {step}");
            for later in (step + 5..=STEPS).step_by(5) {
                assert!(saved(&out, later) == saved(&whole, later), "{model} from step {step}, at step {later}");
            }
        }
    }
}

#[test]
fn a_run_stopped_at_a_step_goes_on_to_the_same_bits() {
    let folder = folder_with_text();
    let at = folder.path();
    configuration(at, "xlstm-tiny");
    succeed(at, "train --config run.toml --out whole");
    // Between checkpoints, at one that evaluates too, and again on the way.
    for (out, stops) in [("between", vec![7]), ("border", vec![10]), ("twice", vec![3, 22])] {
        let mut line = format!("train --config run.toml --out {out}");
        for stop in stops {
            let said = errors(&succeed(at, &format!("{line} --stop-at {stop}")));
            assert!(said.contains(&format!("saved at step {stop}; go on with: gradus train --resume {out}")), "{said}");
            assert_eq!(
                fs::read_to_string(at.join(out).join("checkpoint/latest")).unwrap(),
                format!("step-{stop:08}\n")
            );
            line = format!("train --resume {out}");
        }
        let early = run(at, &format!("{line} --stop-at 3"));
        assert_eq!(early.status.code(), Some(2), "{}", errors(&early));
        assert!(errors(&early).contains("--stop-at 3: the run stands at step"), "{}", errors(&early));
        // A stop beyond the end is none.
        let said = errors(&succeed(at, &format!("{line} --stop-at 1000")));
        assert!(!said.contains("saved at step"), "{said}");
        assert_eq!(metrics(&at.join(out)), metrics(&at.join("whole")), "{out}");
        assert!(saved(&at.join(out), STEPS) == saved(&at.join("whole"), STEPS), "{out}");
        let configuration = |run: &str| fs::read_to_string(at.join(run).join("config.toml")).unwrap();
        assert_eq!(configuration(out), configuration("whole"), "where a run stopped is not part of its configuration");
    }
}

#[cfg(unix)]
fn interrupt(child: &std::process::Child) {
    let id = child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &id]).status().unwrap().success());
}

#[cfg(unix)]
fn wait_for_rows(run: &Path, rows: usize) {
    let started = Instant::now();
    let count = || fs::read_to_string(run.join("metrics.jsonl")).map_or(0, |text| text.lines().count());
    while count() < rows {
        assert!(started.elapsed() < Duration::from_secs(120), "no row {rows} in {}", run.display());
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[cfg(unix)]
#[test]
fn an_interrupted_run_saves_and_goes_on() {
    let folder = folder_with_text();
    configuration(folder.path(), "xlstm-tiny");
    succeed(folder.path(), "train --config run.toml --out whole");
    let mut command = program::gradus(folder.path(), "train --config run.toml --out stopped");
    let child = command.stderr(std::process::Stdio::piped()).stdout(std::process::Stdio::null()).spawn().unwrap();
    let (whole, stopped) = (folder.path().join("whole"), folder.path().join("stopped"));
    wait_for_rows(&stopped, 7);
    interrupt(&child);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", errors(&output));
    assert!(errors(&output).contains("go on with: gradus train --resume stopped"), "{}", errors(&output));
    let done = metrics(&stopped).iter().filter_map(|row| row["step"].as_u64()).max().unwrap();
    assert!((7..STEPS).contains(&done), "stopped after step {done}");
    assert_eq!(fs::read_to_string(stopped.join("checkpoint/latest")).unwrap(), format!("step-{done:08}\n"));
    succeed(folder.path(), "train --resume stopped");
    assert_eq!(metrics(&stopped), metrics(&whole));
    assert!(saved(&stopped, STEPS) == saved(&whole, STEPS));
    let over = run(folder.path(), "train --resume stopped");
    assert!(!over.status.success() && errors(&over).contains("the run is over"), "{}", errors(&over));
}

#[cfg(unix)]
#[test]
fn a_killed_run_goes_on_from_its_last_checkpoint() {
    let folder = folder_with_text();
    configuration(folder.path(), "xlstm-tiny");
    succeed(folder.path(), "train --config run.toml --out whole");
    for rows in [12, 18, 27] {
        let out = format!("killed-{rows}");
        let mut command = program::gradus(folder.path(), &format!("train --config run.toml --out {out}"));
        let nobody = std::process::Stdio::null;
        let mut child = command.stderr(nobody()).stdout(nobody()).spawn().unwrap();
        wait_for_rows(&folder.path().join(&out), rows);
        child.kill().unwrap();
        child.wait().unwrap();
        succeed(folder.path(), &format!("train --resume {out}"));
        assert_eq!(metrics(&folder.path().join(&out)), metrics(&folder.path().join("whole")), "killed at row {rows}");
    }
}
