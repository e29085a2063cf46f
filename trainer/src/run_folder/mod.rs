//! What a run leaves behind: `config.toml`, `metrics.jsonl`, `loss.svg` and `checkpoint/`.

pub mod checkpoint;
pub mod curves;
pub mod metrics;
pub mod plot;
pub mod state;
pub mod storage;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::configuration::{Configuration, writing};
use crate::error::{Result, TrainerError};
use storage::{Disk, replace};

pub use checkpoint::Saved;
pub use metrics::{EvaluationRow, Metrics, Row, SampleRow, TrainRow};
pub use state::Position;

/// The file with the run's whole configuration.
pub const CONFIGURATION_FILE: &str = "config.toml";
/// The folder in which runs stand that were given none.
const DEFAULT_PARENT: &str = "runs";

/// Makes the folder of a new run and writes its configuration. Without `out` it is
/// `runs/<time>-<name>`.
///
/// # Errors
/// If the folder holds a run or anything else, or cannot be written.
pub fn create(out: Option<&Path>, configuration: &Configuration) -> Result<PathBuf> {
    let folder = match out {
        Some(out) => out.to_owned(),
        None => {
            unused(Path::new(DEFAULT_PARENT), &format!("{}-{}", time_stamp(SystemTime::now()), configuration.name()))
        }
    };
    refuse_foreign(&folder)?;
    fs::create_dir_all(&folder).map_err(TrainerError::io("create", &folder))?;
    let path = folder.join(CONFIGURATION_FILE);
    let text = writing::text(configuration)?;
    replace(&Disk, &path, text.as_bytes()).map_err(TrainerError::io("write", &path))?;
    Ok(folder)
}

/// The configuration of the run in a folder.
///
/// # Errors
/// If there is none or it has errors.
pub fn configuration(run: &Path) -> Result<Configuration> {
    let path = run.join(CONFIGURATION_FILE);
    let text = fs::read_to_string(&path).map_err(TrainerError::io("read", &path))?;
    writing::read(&path.display().to_string(), &text)
}

/// Only an empty folder, or none, may become a run's: nothing is ever overwritten.
fn refuse_foreign(folder: &Path) -> Result<()> {
    let refuse = |problem: String, hint: &str| {
        Err(TrainerError::RunFolder { path: folder.to_owned(), problem, hint: hint.into() })
    };
    let first = match fs::read_dir(folder) {
        Ok(mut entries) => entries.next(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(_) if folder.is_file() => return refuse("it is a file".into(), "name a folder with --out"),
        Err(error) => return Err(TrainerError::io("read", folder)(error)),
    };
    let Some(entry) = first else { return Ok(()) };
    if folder.join(CONFIGURATION_FILE).exists() || folder.join(metrics::FILE).exists() {
        return refuse("it holds another run".into(), "name another folder with --out, or none for one of its own");
    }
    let name = entry.map(|entry| entry.file_name().to_string_lossy().into_owned()).unwrap_or_default();
    refuse(
        format!("it holds files that are not of a run, for instance {name}"),
        "name an empty or new folder with --out",
    )
}

fn unused(parent: &Path, name: &str) -> PathBuf {
    let numbered = (2..).map(|number| parent.join(format!("{name}-{number}")));
    let mut names = std::iter::once(parent.join(name)).chain(numbered);
    names.find(|folder| !folder.exists()).unwrap_or_else(|| parent.join(name))
}

/// The time in UTC as `20261123-232005`.
fn time_stamp(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days);
    format!("{year:04}{month:02}{day:02}-{:02}{:02}{:02}", second / 3600, second / 60 % 60, second % 60)
}

/// The day in UTC as `2026-11-23`.
pub fn date(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (year, month, day) = civil(seconds / 86_400);
    format!("{year:04}-{month:02}-{day:02}")
}

/// Year, month and day of a number of days since 1970-01-01: Hinnant's `civil_from_days`, with
/// years that begin in March so that the leap day is their last.
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day_of_year - (153 * from_march + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn tiny() -> Configuration {
        let preset = gradus_models::configuration::presets::find("xlstm-tiny").unwrap();
        let mut configuration = Configuration::for_model(preset.model);
        configuration.preset = Some(preset.name.into());
        configuration
    }

    #[test]
    fn a_new_run_has_its_configuration() {
        let parent = tempfile::tempdir().unwrap();
        let out = parent.path().join("a/b");
        assert_eq!(create(Some(&out), &tiny()).unwrap(), out);
        assert_eq!(configuration(&out).unwrap(), tiny());
        // An empty folder is as good as none.
        let empty = parent.path().join("empty");
        fs::create_dir(&empty).unwrap();
        create(Some(&empty), &tiny()).unwrap();
    }

    #[test]
    fn folders_with_anything_in_them_are_refused() {
        let parent = tempfile::tempdir().unwrap();
        let out = parent.path().join("run");
        create(Some(&out), &tiny()).unwrap();
        let refused = |folder: &Path| {
            let error = create(Some(folder), &tiny()).unwrap_err();
            assert!(error.hint().unwrap().contains("--out"));
            error.to_string()
        };
        assert!(refused(&out).contains("holds another run"));
        assert!(refused(parent.path()).contains("not of a run, for instance run"));
        let file = parent.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(refused(&file).contains("it is a file"));
        assert_eq!(configuration(&out).unwrap(), tiny());
    }

    #[test]
    fn names_do_not_collide() {
        let parent = tempfile::tempdir().unwrap();
        for expected in ["x", "x-2", "x-3"] {
            let folder = unused(parent.path(), "x");
            assert_eq!(folder, parent.path().join(expected));
            fs::create_dir(folder).unwrap();
        }
    }

    #[test]
    fn time_stamps_are_dates() {
        for (seconds, stamp) in [
            (0, "19700101-000000"),
            (951_782_400, "20000229-000000"),
            (1_709_251_199, "20240229-235959"),
            (1_709_251_200, "20240301-000000"),
            (4_107_542_399, "21000228-235959"),
            (4_107_542_400, "21000301-000000"),
        ] {
            let time = UNIX_EPOCH + Duration::from_secs(seconds);
            assert_eq!(time_stamp(time), stamp);
            assert_eq!(date(time).replace('-', ""), stamp[..8]);
        }
    }
}
