//! `gradus plot`: loss and throughput of runs, in the terminal or as a file.

use std::io::Write;
use std::path::Path;

use gradus_fit::plot::{Mark, Plot, terminal};

use crate::error::{Result, TrainerError};
use crate::inference::print;
use crate::picture::{self, Picture};
use crate::run_folder::curves::{self, Points, Unit, smoothed, thinned};
use crate::run_folder::{Row, metrics};
use crate::verbs::plot::Arguments;

/// The most points drawn of a curve.
const MOST_POINTS: usize = 800;
/// Characters of a diagram in the terminal.
const COLUMNS: usize = 72;
const ROWS: usize = 16;

/// Runs the verb.
///
/// # Errors
/// A folder that is none of a run, or whose `metrics.jsonl` is missing, empty or damaged; a file that cannot be written.
pub fn run(arguments: &Arguments, out: &mut dyn Write) -> Result<()> {
    if let Some(path) = &arguments.out {
        Picture::of(path)?;
    }
    let runs: Vec<(String, Vec<Row>)> =
        arguments.runs.iter().map(|run| Ok((name(run), rows(run)?))).collect::<Result<_>>()?;
    let plots = plots(&runs);
    match &arguments.out {
        Some(path) => {
            picture::write(path, &plots)?;
            print(out, &format!("wrote {}\n", path.display())).map(drop)
        }
        None => {
            let drawn: Vec<String> = plots.iter().map(|plot| terminal(plot, COLUMNS, ROWS)).collect();
            print(out, &(drawn.join("\n") + &legend(&runs))).map(drop)
        }
    }
}

/// The folder's name, which for `.` is that of the folder it stands for.
fn name(run: &Path) -> String {
    let whole = run.canonicalize().unwrap_or_else(|_| run.to_owned());
    whole.file_name().map_or_else(|| run.display().to_string(), |name| name.to_string_lossy().into_owned())
}

/// The rows of a run that has some.
fn rows(run: &Path) -> Result<Vec<Row>> {
    let refuse = |problem: String, hint: &str| {
        Err(TrainerError::RunFolder { path: run.to_owned(), problem, hint: hint.to_owned() })
    };
    if !run.is_dir() {
        let problem = if run.exists() { "it is a file" } else { "there is no such folder" };
        return refuse(problem.into(), "name the folder of a run, such as those under runs/");
    }
    if !run.join(metrics::FILE).is_file() {
        return refuse(
            format!("it has no {}, so it is not the folder of a run", metrics::FILE),
            "name the folder that gradus train --out made; those of a sweep are under its runs/",
        );
    }
    let rows = metrics::read(run)?;
    let (train, validation) = curves::losses(&rows, Unit::NatsPerToken);
    if train.is_empty() && validation.is_empty() {
        return refuse(
            format!("its {} has no step with a finite loss yet", metrics::FILE),
            "wait for the run's first steps, or look at its messages",
        );
    }
    Ok(rows)
}

/// Loss and throughput over the steps, a colour a run.
fn plots(runs: &[(String, Vec<Row>)]) -> Vec<Plot> {
    let unit = Unit::of(runs.iter().map(|(_, rows)| rows.as_slice()));
    let mut loss =
        Plot::new("Loss: each step pale, smoothed over it, validation dashed", ("step", false), (unit.name(), false));
    let mut speed = Plot::new("Throughput", ("step", false), ("tokens per second", false));
    for (colour, (name, rows)) in runs.iter().enumerate() {
        let (train, _) = curves::losses(rows, unit);
        loss.add("", Mark::Faint, colour, thinned(&train, MOST_POINTS));
        speed.add(name, Mark::Line, colour, thinned(&curves::throughput(rows), MOST_POINTS));
    }
    // Over the noise of all runs.
    for (colour, (name, rows)) in runs.iter().enumerate() {
        let (train, validation) = curves::losses(rows, unit);
        let train = thinned(&train, MOST_POINTS);
        loss.add(name, Mark::Line, colour, smoothed(&train));
        if !validation.is_empty() {
            loss.add("", Mark::Dashed, colour, validation.clone());
            loss.add("", Mark::Dots, colour, validation);
        }
    }
    vec![loss, speed]
}

/// Where each run is, in numbers: a terminal's diagram has one colour.
fn legend(runs: &[(String, Vec<Row>)]) -> String {
    let mut text =
        String::from("\nrun                                            step    loss  validation  tokens/s\n");
    let unit = Unit::of(runs.iter().map(|(_, rows)| rows.as_slice()));
    let last = |points: &Points| points.last().map_or_else(|| "-".into(), |point| format!("{:.4}", point.1));
    for (name, rows) in runs {
        let (train, validation) = curves::losses(rows, unit);
        let step = rows.last().map_or(0, Row::step);
        let speed = curves::throughput(rows).last().map_or_else(|| "-".into(), |point| format!("{:.0}", point.1));
        text += &format!("{name:<42} {step:>8} {:>7} {:>11} {speed:>9}\n", last(&smoothed(&train)), last(&validation));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::PathBuf;

    fn line(step: u64) -> String {
        let loss = 2.0 + 3.0 / step as f64;
        format!(
            "{{\"step\":{step},\"tokens\":{},\"loss\":{loss},\"bits_per_byte\":{loss},\"learning_rate\":1e-3,\"gradient_norm\":1,\
             \"loss_scale\":1,\"skipped\":false,\"seconds\":{step},\"tokens_per_second\":64}}\n",
            64 * step
        )
    }

    fn make(parent: &Path, name: &str, text: &str) -> PathBuf {
        let run = parent.join(name);
        fs::create_dir(&run).unwrap();
        fs::write(run.join(metrics::FILE), text).unwrap();
        run
    }

    fn called(runs: &[&Path], out: Option<&Path>) -> Result<String> {
        let runs = runs.iter().map(|run| run.to_path_buf()).collect();
        let mut text = Vec::new();
        run(&Arguments { runs, out: out.map(Path::to_owned) }, &mut text)?;
        Ok(String::from_utf8(text).unwrap())
    }

    #[test]
    fn runs_are_drawn_in_files_and_in_the_terminal() {
        let parent = tempfile::tempdir().unwrap();
        let evaluation = "{\"step\":40,\"validation_loss\":2.2,\"validation_bits_per_byte\":2.25}\n";
        let long: String = (1..=40).map(line).collect();
        // A killed run leaves half a line at its end.
        let a = make(parent.path(), "first", &(long + evaluation + "{\"step\":41,\"tok"));
        let b = make(parent.path(), "second", &(1..=20).map(line).collect::<String>());
        let text = called(&[&a, &b], None).unwrap();
        assert!(text.contains("[bits per byte over step]") && text.contains("Throughput"), "{text}");
        let first = text.lines().find(|line| line.starts_with("first ")).unwrap();
        let cells: Vec<&str> = first.split_whitespace().collect();
        assert_eq!((cells[1], cells[3], cells[4]), ("40", "2.2500", "64"), "{text}");
        // A loss without bits: both are in nats.
        let task = line(3).replace("\"bits_per_byte\":3", "\"bits_per_byte\":null");
        let task = make(parent.path(), "task", &task);
        let text = called(&[&a, &task], None).unwrap();
        assert!(text.contains("[nats per token over step]") && text.contains("2.2000"), "{text}");
        let svg = parent.path().join("runs.svg");
        called(&[&a, &b], Some(&svg)).unwrap();
        let drawn = fs::read_to_string(&svg).unwrap();
        for word in [">first<", ">second<", "stroke-dasharray", "tokens per second", "#aad0e6"] {
            assert!(drawn.contains(word), "{word}");
        }
        assert_eq!(drawn.matches("stroke-dasharray").count(), 1, "one run has been evaluated");
        let png = parent.path().join("runs.PNG");
        called(&[&a], Some(&png)).unwrap();
        assert_eq!(&fs::read(&png).unwrap()[1..4], b"PNG");
    }

    #[test]
    fn what_cannot_be_drawn_is_said_once() {
        let parent = tempfile::tempdir().unwrap();
        let good = make(parent.path(), "good", &line(1));
        let refused = |run: &Path, word: &str| {
            let error = called(&[&good, run], Some(&parent.path().join("x.svg"))).unwrap_err();
            assert!(error.to_string().contains(word), "{word}: {error}");
            assert!(!parent.path().join("x.svg").exists());
        };
        refused(&parent.path().join("absent"), "no such folder");
        refused(parent.path(), "has no metrics.jsonl");
        refused(&good.join(metrics::FILE), "it is a file");
        refused(&make(parent.path(), "empty", ""), "no step with a finite loss");
        refused(&make(parent.path(), "other", "{\"epoch\":1,\"loss\":2}\n"), "metrics.jsonl line 1");
        let error = called(&[&good], Some(Path::new("runs.pdf"))).unwrap_err();
        assert!(error.to_string().contains(".svg or .png"), "{error}");
    }
}
