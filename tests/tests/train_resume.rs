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

/// Whoever looks at a run sees what it computes, and reads it again in its metrics.
#[test]
fn a_run_says_what_it_does_and_writes_text_at_each_evaluation() {
    let folder = folder_with_text();
    let at = folder.path();
    configuration(at, "llama-tiny");
    let set = "--set evaluation.short_sample_tokens=12 --set evaluation.sample_prompt=line --set train.log_every=5";
    let output = succeed(at, &format!("train --config run.toml {set} --out run"));
    let said = errors(&output);
    let rows = metrics(&at.join("run"));
    let samples: Vec<(u64, &str)> =
        rows.iter().filter_map(|row| Some((row["step"].as_u64()?, row["sample"].as_str()?))).collect();
    assert_eq!(samples.iter().map(|sample| sample.0).collect::<Vec<_>>(), [10, 20, 30, 40]);
    for (_, text) in samples {
        assert!(text.starts_with("line") && text.len() > 4, "{text}");
        assert!(said.contains(&format!("  | {}", text.lines().next().unwrap())), "{text}: {said}");
    }
    let of =
        |step: u64, key: &str| rows.iter().find(|row| row["step"] == step && !row[key].is_null()).unwrap()[key].clone();
    let (loss, rate, norm) = (of(40, "loss"), of(40, "learning_rate"), of(40, "gradient_norm"));
    let line = said.lines().find(|line| line.starts_with("step 40/40,")).unwrap();
    for part in [
        format!("loss {:.4} (smoothed ", loss.as_f64().unwrap()),
        format!("rate {:.2e}", rate.as_f64().unwrap()),
        format!("gradient norm {:.3}", norm.as_f64().unwrap()),
        " tokens/s".into(),
        " MiB".into(),
        " left".into(),
    ] {
        assert!(line.contains(&part), "no `{part}` in {line}");
    }
    let validation = of(40, "validation_loss").as_f64().unwrap();
    for part in [&format!("validation loss {validation:.4}"), "40 steps", "were planned", "run folder: run"] {
        assert!(said.lines().rev().take(6).any(|line| line.contains(part)), "no `{part}` at the end of {said}");
    }
    // Nobody wants any: there are none.
    succeed(at, "train --config run.toml --steps 2 --set evaluation.short_sample_tokens=0 --out quiet");
    assert!(metrics(&at.join("quiet")).iter().all(|row| row["sample"].is_null()));
}

/// The names in a run's folder of checkpoints, in order.
fn checkpoints(run: &Path) -> Vec<String> {
    let entries = fs::read_dir(run.join("checkpoint")).unwrap();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Text that repeats itself is learnt, and at a rate that is far too high unlearnt.
#[test]
fn the_checkpoint_of_the_lowest_validation_loss_stays_beside_the_newest() {
    let folder = folder_with_text();
    let at = folder.path();
    configuration(at, "llama-tiny");
    let line = "train --config run.toml --keep 1 --set schedule.shape=constant --set schedule.warmup=0 --eval-every 4";
    // At this rate no evaluation after the first steps is as good as the best.
    succeed(at, &format!("{line} --set optimizer.learning_rate=0.3 --out run"));
    let run = at.join("run");
    let evaluations: Vec<(u64, f64)> = metrics(&run)
        .iter()
        .filter_map(|row| Some((row["step"].as_u64()?, row["validation_loss"].as_f64()?)))
        .collect();
    let best = evaluations.iter().min_by(|left, right| left.1.total_cmp(&right.1)).unwrap().0;
    assert!(best < STEPS, "{evaluations:?}");
    let name = format!("step-{best:08}");
    assert_eq!(checkpoints(&run), ["best", "latest", &name, &format!("step-{STEPS:08}")], "{evaluations:?}");
    assert_eq!(fs::read_to_string(run.join("checkpoint/best")).unwrap(), format!("{name}\n"));
    // It is a model like any other; the run itself stands for the last.
    fs::write(at.join("ids.json"), "[[5, 6, 7, 8]]").unwrap();
    let logits = |model: &str| {
        succeed(at, &format!("logits --model {model} --tokens ids.json --out logits.safetensors --device cpu"));
        fs::read(at.join("logits.safetensors")).unwrap()
    };
    assert!(logits("run/checkpoint/best") == logits(&format!("run/checkpoint/{name}")));
    assert!(logits("run") == logits("run/checkpoint/latest"));
    assert!(logits("run") != logits("run/checkpoint/best"));
    // Without it only the newest stay.
    succeed(at, &format!("{line} --set checkpoint.best=false --set train.steps=9 --out none"));
    assert_eq!(checkpoints(&at.join("none")), ["latest", "step-00000009"]);
}

/// A run that goes on from before its best step has another best one.
#[test]
fn the_best_checkpoint_is_found_again_after_a_resume() {
    let folder = folder_with_text();
    let at = folder.path();
    configuration(at, "xlstm-tiny");
    succeed(at, "train --config run.toml --out whole");
    let best = |run: &str| fs::read_to_string(at.join(run).join("checkpoint/best")).unwrap();
    let whole = best("whole");
    copy(&at.join("whole"), &at.join("back"));
    succeed(at, "train --resume back/checkpoint/step-00000015 --stop-at 16");
    assert_eq!(best("back"), "step-00000010\n", "the only one evaluated by then");
    // The best is a step to go on from like any other.
    succeed(at, "train --resume back/checkpoint/best --stop-at 12");
    assert_eq!(checkpoints(&at.join("back")), ["best", "latest", "step-00000005", "step-00000010", "step-00000012"]);
    succeed(at, "train --resume back");
    assert_eq!(best("back"), whole);
    assert!(saved(&at.join("back"), STEPS) == saved(&at.join("whole"), STEPS));
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
    // Interrupted in the evaluation after the last step, it is not over: that is made up for.
    let file = stopped.join("metrics.jsonl");
    let text = fs::read_to_string(&file).unwrap();
    let is_last = |line: &&str| line.contains("validation_loss") && line.contains(&format!("\"step\":{STEPS},"));
    assert!(text.lines().any(|line| is_last(&line)), "{text}");
    let cut: String = text.lines().take_while(|line| !is_last(line)).map(|line| format!("{line}\n")).collect();
    fs::write(&file, cut).unwrap();
    succeed(folder.path(), "train --resume stopped");
    assert_eq!(metrics(&stopped), metrics(&whole));
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
