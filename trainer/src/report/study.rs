//! A folder that is reported on: what it has.

use std::fs;
use std::path::{Path, PathBuf};

use gradus_fit::table::{GroupValues, Table};

use super::ask::Ask;
use crate::error::{Result, TrainerError};
use crate::run_folder::{Row, metrics};

/// The set of a study of learning rates in that table.
pub const RATES: &str = "learning_rate";
/// The table of training runs.
const RUNS_FILE: &str = "runs.csv";
/// The plan of a sweep.
const PLAN_FILE: &str = "sweep.toml";
/// Files with times to first token and step times; the first that is there counts.
const FIRST_TOKEN_FILES: [&str; 2] = ["inference.csv", "inference_ttft.csv"];
const STEP_FILES: [&str; 2] = ["inference.csv", "inference_step_time.csv"];

/// A table with the file it is from.
#[derive(Clone, Debug)]
pub struct Source {
    /// The file.
    pub path: PathBuf,
    /// Its rows.
    pub table: Table,
}

impl Source {
    /// The file's table, if there is such a file.
    fn read(path: PathBuf) -> Result<Option<Self>> {
        if !path.is_file() {
            return Ok(None);
        }
        let table = Table::read(&path)?;
        Ok((!table.is_empty()).then_some(Self { path, table }))
    }

    /// The groups of rows with these values of columns, in order of first appearance.
    ///
    /// # Errors
    /// If a column is missing.
    pub fn groups(&self, columns: &[&str], conditions: &[String]) -> Result<Vec<GroupValues>> {
        let table = match conditions {
            [] => self.table.clone(),
            some => self.table.filter(&some.join(" and "))?,
        };
        let columns: Vec<String> = columns.iter().map(|column| (*column).to_string()).collect();
        Ok(table.group(&columns)?.into_iter().map(|(values, _)| values).collect())
    }
}

/// A folder, read.
#[derive(Clone, Debug)]
pub struct Study {
    /// The folder.
    pub path: PathBuf,
    /// `runs.csv`, if it is there and has rows.
    pub runs: Option<Source>,
    /// Times to first token.
    pub first_token: Option<Source>,
    /// Times of a step.
    pub step: Option<Source>,
    /// The text of `sweep.toml`.
    pub plan: Option<String>,
    /// How many folders of runs there are.
    pub folders: usize,
    /// Name and steps of each run that has its folder, and steps in it.
    pub curves: Vec<(String, Vec<Row>)>,
    /// Name and reason of each failed run.
    pub failures: Vec<(String, String)>,
}

impl Study {
    /// Reads a folder.
    ///
    /// # Errors
    /// If it has no table of runs or of times, or a file of it is damaged.
    pub fn open(path: &Path) -> Result<Self> {
        let refuse = |problem: &str| {
            TrainerError::RunFolder {
            path: path.to_owned(),
            problem: problem.into(),
            hint: "name the folder of a sweep (gradus sweep PLAN.toml --out DIR), or one with a runs.csv or an inference.csv".into(),
        }
        };
        if !path.is_dir() {
            return Err(refuse(if path.exists() { "it is a file" } else { "there is no such folder" }));
        }
        let first = |files: &[&str], column: &str| -> Result<Option<Source>> {
            for file in files {
                if let Some(source) = Source::read(path.join(file))?.filter(|source| source.table.has(column)) {
                    return Ok(Some(source));
                }
            }
            Ok(None)
        };
        let study = Self {
            path: path.to_owned(),
            runs: Source::read(path.join(RUNS_FILE))?,
            first_token: first(&FIRST_TOKEN_FILES, "ttft_ms")?,
            step: first(&STEP_FILES, "step_ms")?,
            plan: text(&path.join(PLAN_FILE))?,
            folders: folders(&path.join("runs")).len(),
            curves: curves(&path.join("runs"))?,
            failures: failures(&path.join("failures"))?,
        };
        if study.runs.is_none() && study.first_token.is_none() && study.step.is_none() {
            let there = path.join(RUNS_FILE).is_file();
            return Err(refuse(if there {
                "its runs.csv has no finished run yet"
            } else {
                "it has neither a runs.csv nor an inference.csv"
            }));
        }
        Ok(study)
    }

    /// The folder's name.
    pub fn name(&self) -> String {
        let whole = self.path.canonicalize().unwrap_or_else(|_| self.path.clone());
        whole.file_name().map_or_else(|| self.path.display().to_string(), |name| name.to_string_lossy().into_owned())
    }

    /// The runs that laws of the loss are fitted to: all but those of a study of learning rates, most of which are not the best
    /// that their models can do.
    pub fn runs_of_laws(&self) -> Option<&Source> {
        let runs = self.runs.as_ref()?;
        (!(runs.table.has("experiment_set") && self.has_set(RATES))).then_some(runs)
    }

    /// Conditions on the rows of `runs.csv`: a table that marks the runs to use says so.
    pub fn conditions(&self) -> Vec<String> {
        let marked = self.runs.as_ref().is_some_and(|runs| runs.table.has("selected"));
        if marked { vec!["selected == 1".into()] } else { Vec::new() }
    }

    /// The same, for what the runs of an over-training study are meant for where the table says what each run was made for.
    pub fn conditions_of_ratios(&self) -> Vec<String> {
        let says = self.runs.as_ref().is_some_and(|runs| runs.table.has("experiment_set"));
        let set = (says && self.has_set("tokenparam")).then(|| "experiment_set == tokenparam".into());
        self.conditions().into_iter().chain(set).collect()
    }

    /// A question about the runs that count, with the weights that the table gives.
    pub fn ask(&self, ask: Ask, weighted: bool) -> Ask {
        let weight = self.runs.as_ref().filter(|runs| weighted && runs.table.has("multiplicity"));
        let conditions = self.conditions().into_iter().chain(ask.conditions.clone()).collect();
        Ask { conditions, weight: weight.map(|_| "multiplicity".into()), ..ask }
    }

    /// Whether the runs of the table were made for this kind of study, as far as it says.
    pub fn has_set(&self, set: &str) -> bool {
        let Some(runs) = &self.runs else { return false };
        match runs.table.text("experiment_set") {
            Ok(sets) => sets.contains(&set),
            Err(_) => true,
        }
    }
}

fn text(path: &Path) -> Result<Option<String>> {
    match fs::read_to_string(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        text => text.map(Some).map_err(TrainerError::io("read", path)),
    }
}

/// Names in a folder, sorted; none if there is no folder.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// Names of the folders in a folder.
fn folders(folder: &Path) -> Vec<String> {
    names(folder).into_iter().filter(|name| folder.join(name).is_dir()).collect()
}

fn curves(folder: &Path) -> Result<Vec<(String, Vec<Row>)>> {
    let runs = folders(folder).into_iter().map(|name| Ok((name.clone(), metrics::read(&folder.join(name))?)));
    Ok(runs.collect::<Result<Vec<_>>>()?.into_iter().filter(|(_, rows)| !rows.is_empty()).collect())
}

fn failures(folder: &Path) -> Result<Vec<(String, String)>> {
    let reason = |name: String| {
        let reason = text(&folder.join(&name))?.unwrap_or_default();
        Ok((name.trim_end_matches(".txt").to_owned(), reason.trim().to_owned()))
    };
    names(folder).into_iter().map(reason).collect()
}
