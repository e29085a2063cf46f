//! What `--model` names: a preset, a TOML file, or a folder with weights.

use std::path::{Path, PathBuf};

use gradus_models::configuration::presets;
use gradus_models::folder::{CONFIGURATION, PLAIN_CONFIGURATION};

use crate::error::{Result, TrainerError};
use crate::run_folder::checkpoint;

/// The meaning of a value of `--model`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModelSource {
    /// The name of a preset.
    Preset(&'static str),
    /// A TOML file with a `[model]` section.
    File(PathBuf),
    /// A folder: of Hugging Face layout, a run, its `checkpoint/`, or one step; or the file `best` or `latest` that names one.
    Folder(PathBuf),
}

impl ModelSource {
    /// Finds out what a value names. A preset's name means the preset even where a file or
    /// folder has the same name; `./NAME` means those.
    ///
    /// # Errors
    /// If it is none of the three: with the nearest preset.
    pub fn find(value: &str) -> Result<Self> {
        if let Some(name) = presets::names().find(|name| *name == value) {
            return Ok(Self::Preset(name));
        }
        let path = Path::new(value);
        if path.is_dir() || checkpoint::is_pointer(path) {
            return Ok(Self::Folder(path.to_owned()));
        }
        if path.is_file() {
            return Ok(Self::File(path.to_owned()));
        }
        let looks_like_a_path = value.contains(['/', '\\']) || value.ends_with(".toml");
        let unknown = presets::find(value).err().map(|error| error.to_string()).unwrap_or_default();
        let message = if looks_like_a_path { format!("there is no file or folder `{value}`") } else { unknown };
        let hint = "--model takes a preset, a TOML file, or the folder of a run or of weights";
        Err(TrainerError::Usage { message: format!("--model: {message}"), hint: Some(hint.into()) })
    }
}

/// The folder with the weights that a path names: itself in Hugging Face layout, or the latest step of a run, or the one that
/// its `checkpoint/best` names. The files of a run's step are compared with their hashes.
///
/// # Errors
/// If there are no weights, or they are damaged.
pub fn weights_folder(path: &Path) -> Result<PathBuf> {
    if has_configuration(path) && !path.join(checkpoint::STATE_FILE).exists() {
        return Ok(path.to_owned());
    }
    let folder = checkpoint::find_step(path)?;
    checkpoint::read_step(&folder)?;
    Ok(folder)
}

/// The folder with the configuration that a path names, as [`weights_folder`]; its weights are not looked at.
///
/// # Errors
/// If there is none.
pub fn configuration_folder(path: &Path) -> Result<PathBuf> {
    if has_configuration(path) { Ok(path.to_owned()) } else { checkpoint::find_step(path) }
}

fn has_configuration(folder: &Path) -> bool {
    [CONFIGURATION, PLAIN_CONFIGURATION].iter().any(|name| folder.join(name).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_files_and_folders_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.toml");
        std::fs::write(&file, "").unwrap();
        assert_eq!(ModelSource::find("llama-tiny").unwrap(), ModelSource::Preset("llama-tiny"));
        assert_eq!(ModelSource::find(file.to_str().unwrap()).unwrap(), ModelSource::File(file));
        assert_eq!(
            ModelSource::find(folder.path().to_str().unwrap()).unwrap(),
            ModelSource::Folder(folder.path().into())
        );
    }

    #[test]
    fn what_is_none_of_them_is_an_error_of_usage() {
        let error = ModelSource::find("xlstm-tny").unwrap_err();
        assert!(error.to_string().contains("did you mean `xlstm-tiny`?"), "{error}");
        assert_eq!(error.exit_code(), 2);
        for value in ["runs/none", "none.toml"] {
            let error = ModelSource::find(value).unwrap_err();
            assert!(error.to_string().contains("no file or folder"), "{error}");
        }
    }
}
