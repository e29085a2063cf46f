//! `metrics.jsonl`: one line of JSON a training step, a line an evaluation and a line the text written after it.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::storage::{Storage, replace};
use crate::error::{Result, TrainerError};

/// The file's name.
pub const FILE: &str = "metrics.jsonl";

/// A training step. Numbers that are not finite are written as `null` and read as NaN.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainRow {
    /// Steps done, this one included.
    pub step: u64,
    /// Tokens trained on so far.
    pub tokens: u64,
    /// Mean cross entropy of the step's tokens, nats a token.
    #[serde(deserialize_with = "null_as_nan")]
    pub loss: f64,
    /// The same in bits a byte of text.
    #[serde(deserialize_with = "null_as_nan")]
    pub bits_per_byte: f64,
    /// Learning rate of the step.
    #[serde(deserialize_with = "null_as_nan")]
    pub learning_rate: f64,
    /// Norm of all gradients together, before clipping.
    #[serde(deserialize_with = "null_as_nan")]
    pub gradient_norm: f64,
    /// Factor on the loss during the backward.
    #[serde(deserialize_with = "null_as_nan")]
    pub loss_scale: f64,
    /// Whether the step was left out because of gradients that are not finite.
    pub skipped: bool,
    /// Seconds of training so far.
    #[serde(deserialize_with = "null_as_nan")]
    pub seconds: f64,
    /// Tokens a second over the last steps.
    #[serde(deserialize_with = "null_as_nan")]
    pub tokens_per_second: f64,
}

/// An evaluation on the held-out text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvaluationRow {
    /// Steps done before it.
    pub step: u64,
    /// Mean cross entropy, nats a token.
    #[serde(deserialize_with = "null_as_nan")]
    pub validation_loss: f64,
    /// The same in bits a byte of text.
    #[serde(deserialize_with = "null_as_nan")]
    pub validation_bits_per_byte: f64,
    /// Share of a synthetic task's answers that are right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<f64>,
}

impl EvaluationRow {
    /// What is said of it besides the loss: how much of a task is right, or bits a byte where these are known.
    pub fn more(&self) -> String {
        match self.accuracy {
            Some(accuracy) => format!(", {:.1} % of the answers right", 100.0 * accuracy),
            None if self.validation_bits_per_byte.is_nan() => String::new(),
            None => format!(", {:.4} bits per byte", self.validation_bits_per_byte),
        }
    }
}

/// A text that the model wrote after an evaluation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SampleRow {
    /// Steps done before it.
    pub step: u64,
    /// The prompt and what followed.
    pub sample: String,
}

/// A line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Row {
    /// A training step.
    Train(TrainRow),
    /// An evaluation.
    Evaluation(EvaluationRow),
    /// A text.
    Sample(SampleRow),
}

impl Row {
    /// Steps done.
    pub fn step(&self) -> u64 {
        match self {
            Self::Train(row) => row.step,
            Self::Evaluation(row) => row.step,
            Self::Sample(row) => row.step,
        }
    }
}

fn null_as_nan<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Option::<f64>::deserialize(deserializer).map(|number| number.unwrap_or(f64::NAN))
}

/// The open file. Every line goes to the system at once, so that a reader or a crash finds whole
/// lines up to the last.
#[derive(Debug)]
pub struct Metrics {
    file: File,
    path: PathBuf,
}

impl Metrics {
    /// Opens the file of a run to add lines to it.
    ///
    /// # Errors
    /// The system's.
    pub fn open(run: &Path) -> Result<Self> {
        let path = run.join(FILE);
        let file = File::options().create(true).append(true).open(&path).map_err(TrainerError::io("open", &path))?;
        Ok(Self { file, path })
    }

    /// Adds a line.
    ///
    /// # Errors
    /// The system's.
    pub fn write(&mut self, row: &Row) -> Result<()> {
        let line = serde_json::to_string(row).map_err(std::io::Error::other).map(|line| line + "\n");
        line.and_then(|line| self.file.write_all(line.as_bytes())).map_err(TrainerError::io("write", &self.path))
    }
}

/// All lines of a run's file; none if there is no file. A last line without its end, which a
/// killed run may leave, is passed over.
///
/// # Errors
/// If the file cannot be read or another line is not a row: names the line.
pub fn read(run: &Path) -> Result<Vec<Row>> {
    let path = run.join(FILE);
    let text = match fs::read_to_string(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        text => text.map_err(TrainerError::io("read", &path))?,
    };
    let whole = &text[..text.rfind('\n').map_or(0, |end| end + 1)];
    let parse = |(index, line): (usize, &str)| {
        serde_json::from_str(line).map_err(|error| TrainerError::RunFolder {
            path: run.to_owned(),
            problem: format!("{FILE} line {}: {error}", index + 1),
            hint: "repair or remove the line".into(),
        })
    };
    whole.lines().enumerate().map(parse).collect()
}

/// Cuts a run's file back to the rows of the first `step` steps, before the run goes on from
/// there. Returns those rows.
///
/// # Errors
/// As [`read`], and the system's.
pub fn cut_back(storage: &dyn Storage, run: &Path, step: u64) -> Result<Vec<Row>> {
    let mut rows = read(run)?;
    rows.retain(|row| row.step() <= step);
    let lines: std::result::Result<Vec<String>, _> = rows.iter().map(serde_json::to_string).collect();
    let path = run.join(FILE);
    let text =
        lines.map_err(std::io::Error::other).map(|lines| lines.into_iter().map(|line| line + "\n").collect::<String>());
    text.and_then(|text| replace(storage, &path, text.as_bytes())).map_err(TrainerError::io("write", &path))?;
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::super::storage::Disk;
    use super::*;

    fn train(step: u64, loss: f64) -> Row {
        Row::Train(TrainRow {
            step,
            tokens: step * 2048,
            loss,
            bits_per_byte: loss / std::f64::consts::LN_2,
            learning_rate: 1e-3,
            gradient_norm: 0.5,
            loss_scale: 1.0,
            skipped: !loss.is_finite(),
            seconds: 0.25,
            tokens_per_second: 8192.0,
        })
    }

    fn evaluation(step: u64) -> Row {
        Row::Evaluation(EvaluationRow { step, validation_loss: 1.5, validation_bits_per_byte: 2.25, accuracy: None })
    }

    #[test]
    fn lines_are_what_the_format_says_and_are_read_again() {
        let run = tempfile::tempdir().unwrap();
        let mut metrics = Metrics::open(run.path()).unwrap();
        let sample = Row::Sample(SampleRow { step: 1, sample: "fn a\u{1b}\n\"é".into() });
        let rows = [train(1, 5.5), evaluation(1), sample, train(2, 5.25)];
        rows.iter().for_each(|row| metrics.write(row).unwrap());
        assert_eq!(read(run.path()).unwrap(), rows);
        let text = fs::read_to_string(run.path().join(FILE)).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].starts_with(r#"{"step":1,"tokens":2048,"loss":5.5,"bits_per_byte":7.93"#), "{text}");
        assert_eq!(lines[1], r#"{"step":1,"validation_loss":1.5,"validation_bits_per_byte":2.25}"#);
        assert_eq!(lines[2], r#"{"step":1,"sample":"fn a\u001b\n\"é"}"#);
    }

    #[test]
    fn numbers_that_are_not_finite_stay_visible() {
        let run = tempfile::tempdir().unwrap();
        Metrics::open(run.path()).unwrap().write(&train(1, f64::INFINITY)).unwrap();
        let Row::Train(row) = &read(run.path()).unwrap()[0] else { panic!("a training row") };
        assert!(row.loss.is_nan() && row.skipped);
    }

    #[test]
    fn cutting_back_keeps_the_rows_up_to_the_step() {
        let run = tempfile::tempdir().unwrap();
        let mut metrics = Metrics::open(run.path()).unwrap();
        for step in 1..=6 {
            metrics.write(&train(step, 4.0)).unwrap();
            metrics.write(&evaluation(step)).unwrap();
        }
        // A killed run leaves half a line.
        fs::OpenOptions::new().append(true).open(run.path().join(FILE)).unwrap().write_all(b"{\"step\":7,").unwrap();
        let rows = cut_back(&Disk, run.path(), 4).unwrap();
        assert_eq!(rows.len(), 8);
        assert_eq!(read(run.path()).unwrap(), rows);
        Metrics::open(run.path()).unwrap().write(&train(5, 3.0)).unwrap();
        assert_eq!(read(run.path()).unwrap().len(), 9);
    }

    #[test]
    fn a_damaged_line_is_named() {
        let run = tempfile::tempdir().unwrap();
        fs::write(
            run.path().join(FILE),
            "{\"step\":1,\"validation_loss\":1,\"validation_bits_per_byte\":1}\nnonsense\n",
        )
        .unwrap();
        assert!(read(run.path()).unwrap_err().to_string().contains("line 2"));
    }
}
