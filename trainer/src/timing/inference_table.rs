//! `inference.csv`: the times of several calls, one table for `gradus fit ttft`, `gradus fit step-time` and `gradus report`.
//!
//! A row is one architecture, model, batch and prompt length. Measured again it takes the place of what was there. One table is
//! of one device and one precision: rates of two are not fitted together.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use gradus_fit::counts::Inference;
use gradus_fit::table::Table;
use gradus_models::configuration::ModelConfiguration;

use super::measure::Measured;
use crate::counting::shape;
use crate::error::{Result, TrainerError};
use crate::run_folder::storage::{Disk, replace};

const COLUMNS: [&str; 18] = [
    "arch",
    "model",
    "batch",
    "prefill",
    "ttft_ms",
    "ttft_lowest_ms",
    "ttft_highest_ms",
    "step_ms",
    "step_lowest_ms",
    "step_highest_ms",
    "prefill_flops",
    "prefill_bytes",
    "step_flops",
    "step_bytes",
    "memory_bytes",
    "n_params",
    "precision",
    "device",
];
/// The columns that tell rows apart are the first ones.
const KEYS: usize = 4;

/// What is timed, as every row of it says.
pub struct Timed<'a> {
    /// Its sizes.
    pub configuration: &'a ModelConfiguration,
    /// The name of its size within the architecture.
    pub name: String,
    /// What weights are stored as.
    pub precision: &'static str,
    /// Where it is timed.
    pub device: String,
}

/// A table in a file, to which the times of one model are added.
pub struct InferenceTable<'a> {
    path: PathBuf,
    timed: Timed<'a>,
}

const OTHER_FILE: &str = "name another file with --csv; times that belong together are of one device and precision";

impl<'a> InferenceTable<'a> {
    /// The table at a place, where there may be one already; its folder is made if there is none.
    ///
    /// # Errors
    /// If the name has characters that conditions on a table cannot have, or the file is another table, or of another device,
    /// precision or model of this name: before anything is timed.
    pub fn open(path: &Path, timed: Timed<'a>) -> Result<Self> {
        let plain = |letter: char| letter.is_ascii_alphanumeric() || ".-_".contains(letter);
        if timed.name.is_empty() || !timed.name.chars().all(plain) {
            return Err(TrainerError::Usage {
                message: format!("--csv: the model's name in the table would be `{}`", timed.name),
                hint: Some("give one of letters, digits, `.`, `-` and `_` with --name".into()),
            });
        }
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(TrainerError::io("create", folder))?;
        }
        let table = Self { path: path.to_owned(), timed };
        let _lock = table.lock()?;
        table.rows()?;
        Ok(table)
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds a row, or replaces the one of the same batch and prompt length.
    ///
    /// # Errors
    /// As [`Self::open`], and if the file cannot be written.
    pub fn keep(&self, batch: usize, prefill: usize, measured: &Measured) -> Result<()> {
        let _lock = self.lock()?;
        let mut rows = self.rows()?;
        let row = self.row(batch, prefill, measured);
        match rows.iter_mut().find(|other| other[..KEYS] == row[..KEYS]) {
            Some(other) => *other = row,
            None => rows.push(row),
        }
        let mut text = COLUMNS.join(",") + "\n";
        for row in &rows {
            text += &(row.iter().map(|cell| quoted(cell)).collect::<Vec<_>>().join(",") + "\n");
        }
        replace(&Disk, &self.path, text.as_bytes()).map_err(TrainerError::io("write", &self.path))
    }

    /// Calls for one file wait for each other: a row is read, joined and written as one event.
    fn lock(&self) -> Result<File> {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        let path = self.path.with_file_name(format!(".tmp-{name}.lock"));
        let options = File::options().create(true).truncate(false).write(true).open(&path);
        let file = options.map_err(TrainerError::io("open", &path))?;
        file.lock().map_err(TrainerError::io("lock", &path))?;
        Ok(file)
    }

    fn row(&self, batch: usize, prefill: usize, measured: &Measured) -> Vec<String> {
        let counted = Inference { shape: shape(self.timed.configuration), batch: batch as f64 };
        let (length, position) = (prefill as f64, measured.position);
        let milliseconds = |seconds: f64| (1e3 * seconds).to_string();
        vec![
            self.timed.configuration.architecture.to_string(),
            self.timed.name.clone(),
            batch.to_string(),
            prefill.to_string(),
            milliseconds(measured.first.median),
            milliseconds(measured.first.lowest),
            milliseconds(measured.first.highest),
            milliseconds(measured.step.median),
            milliseconds(measured.step.lowest),
            milliseconds(measured.step.highest),
            counted.prefill_flops(length).to_string(),
            counted.prefill_bytes(length).to_string(),
            counted.step_flops(position).to_string(),
            counted.step_bytes(position).to_string(),
            measured.memory.map_or_else(String::new, |bytes| bytes.to_string()),
            self.parameters(),
            self.timed.precision.to_owned(),
            self.timed.device.clone(),
        ]
    }

    fn parameters(&self) -> String {
        self.timed.configuration.parameters().total().to_string()
    }

    /// The rows that are there, which those of this call may join.
    fn rows(&self) -> Result<Vec<Vec<String>>> {
        if !self.path.exists() {
            return Ok(Vec::new());
        }
        let table = Table::read(&self.path)?;
        if let Some(missing) = COLUMNS.iter().find(|column| !table.has(column)) {
            return self.refuse(format!("it is no table of gradus time: it has no column `{missing}`"), OTHER_FILE);
        }
        let columns = COLUMNS.iter().map(|column| table.text(column)).collect::<std::result::Result<Vec<_>, _>>()?;
        let rows: Vec<Vec<String>> =
            (0..table.len()).map(|row| columns.iter().map(|cells| cells[row].to_owned()).collect()).collect();
        let (arch, name) = (self.timed.configuration.architecture.to_string(), &self.timed.name);
        for row in &rows {
            let [.., parameters, precision, device] = &row[..] else { continue };
            if (precision.as_str(), device) != (self.timed.precision, &self.timed.device) {
                let (now, there) = (&self.timed.device, device);
                let asked = self.timed.precision;
                let problem = format!("its times are of {there} in {precision}, and these are of {now} in {asked}");
                return self.refuse(problem, OTHER_FILE);
            }
            if row[0] == arch && row[1] == *name && *parameters != self.parameters() {
                let now = self.parameters();
                let problem = format!("its {arch} `{name}` has {parameters} parameters, and this model has {now}");
                return self.refuse(problem, "call this model otherwise with --name");
            }
        }
        Ok(rows)
    }

    fn refuse<T>(&self, problem: String, hint: &str) -> Result<T> {
        Err(TrainerError::Data { path: self.path.clone(), problem, hint: hint.into() })
    }
}

/// A cell as RFC 4180 has it.
fn quoted(cell: &str) -> String {
    if cell.contains([',', '"', '\n', '\r']) { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::stopwatch::Spread;
    use gradus_models::configuration::presets;

    fn measured(seconds: f64) -> Measured {
        let spread = Spread { median: seconds, lowest: seconds / 2.0, highest: 2.0 * seconds };
        Measured { first: spread, step: spread, recording: 0.0, position: 30.5, memory: None }
    }

    fn timed<'a>(configuration: &'a ModelConfiguration, name: &str, device: &str) -> Timed<'a> {
        Timed { configuration, name: name.into(), precision: "f32", device: device.into() }
    }

    #[test]
    fn calls_join_and_a_row_measured_again_takes_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lab/inference.csv");
        let device = "card \"A\", 2 threads";
        let models = ["xlstm-tiny", "llama-tiny"].map(|name| presets::find(name).unwrap().model);
        for (model, seconds) in [(&models[0], 1.0), (&models[1], 2.0), (&models[0], 3.0)] {
            let table = InferenceTable::open(&path, timed(model, "tiny", device)).unwrap();
            table.keep(8, 16, &measured(seconds)).unwrap();
            table.keep(8, 32, &measured(seconds + 1.0)).unwrap();
        }
        let table = Table::read(&path).unwrap();
        assert_eq!(table.text("arch").unwrap(), ["xlstm", "xlstm", "transformer", "transformer"]);
        assert_eq!(table.numbers("prefill").unwrap(), [16.0, 32.0, 16.0, 32.0]);
        assert_eq!(table.numbers("ttft_ms").unwrap(), [3000.0, 4000.0, 2000.0, 3000.0]);
        assert_eq!(table.numbers("step_lowest_ms").unwrap()[0], 1500.0);
        assert_eq!(table.text("device").unwrap(), [device; 4]);
        // The work of a step is that of its own place in the text, behind the prompt.
        let counted = Inference { shape: shape(&models[1]), batch: 8.0 };
        assert_eq!(table.numbers("prefill_flops").unwrap()[2], counted.prefill_flops(16.0));
        assert_eq!(table.numbers("step_bytes").unwrap()[2], counted.step_bytes(30.5));
    }

    #[test]
    fn what_does_not_belong_together_is_refused_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("inference.csv");
        let model = presets::find("xlstm-tiny").unwrap().model;
        InferenceTable::open(&path, timed(&model, "tiny", "A")).unwrap().keep(1, 4, &measured(1.0)).unwrap();
        let before = fs::read(&path).unwrap();
        let mut other = model.clone();
        other.num_blocks += 1;
        let error = |model, name, device| match InferenceTable::open(&path, timed(model, name, device)) {
            Ok(_) => panic!("{name} on {device} was taken"),
            Err(error) => error.text(),
        };
        assert!(error(&model, "tiny", "B").contains("its times are of A in f32, and these are of B in f32"));
        assert!(error(&other, "tiny", "A").contains("otherwise with --name"));
        assert!(error(&model, "a b", "A").contains("--name"));
        assert!(InferenceTable::open(&path, timed(&other, "other", "A")).is_ok());
        assert_eq!(fs::read(&path).unwrap(), before);
        fs::write(&path, "a,b\n1,2\n").unwrap();
        assert!(error(&model, "tiny", "A").contains("no column `arch`"));
    }
}
