//! What can go wrong in the trainer, with the hint and the exit code of each.

use std::io;
use std::path::{Path, PathBuf};

use gradus_models::configuration::ConfigurationError;

/// An error of the program. [`Self::hint`] says what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum TrainerError {
    /// The command line asks for something that cannot be.
    #[error("{message}")]
    Usage {
        /// What is wrong, with the flag's name.
        message: String,
        /// What to type instead.
        hint: Option<String>,
    },
    /// A configuration holds something that cannot be.
    #[error("{place}: {message}")]
    Configuration {
        /// The file and the line, or the flag.
        place: String,
        /// What is wrong, with the key's name.
        message: String,
        /// What to write instead.
        hint: Option<String>,
    },
    /// A model's configuration cannot be built, or no preset has its name.
    #[error(transparent)]
    Model(#[from] ConfigurationError),
    /// The text to train on is missing or cannot be used.
    #[error("data {}: {problem}", .path.display())]
    Data {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
        /// What to give instead.
        hint: String,
    },
    /// The folder of a run cannot be used.
    #[error("run folder {}: {problem}", .path.display())]
    RunFolder {
        /// The folder.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
        /// What to do.
        hint: String,
    },
    /// A checkpoint cannot be read.
    #[error("checkpoint {}: {problem}", .path.display())]
    Checkpoint {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
        /// What to do.
        hint: String,
    },
    /// The operating system refused something.
    #[error("cannot {action} {}: {source}", .path.display())]
    Io {
        /// What was tried, as a verb: "read", "write".
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The device went away while it computed.
    #[error("the device was lost: {0}")]
    LostDevice(String),
    /// Ctrl-C; everything is saved.
    #[error("interrupted")]
    Interrupted,
}

/// The result of most functions here.
pub type Result<T, E = TrainerError> = std::result::Result<T, E>;

impl TrainerError {
    /// Wraps an error of the operating system for `map_err`.
    pub fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }

    /// What the user can do, if that is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Usage { hint, .. } | Self::Configuration { hint, .. } => hint.clone(),
            Self::Data { hint, .. } | Self::RunFolder { hint, .. } | Self::Checkpoint { hint, .. } => Some(hint.clone()),
            Self::Io { source, path, .. } => match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                    Some("the disk is full: free some space, or name a folder on another disk with --out; the last whole checkpoint is still good".into())
                }
                io::ErrorKind::PermissionDenied => Some(format!("allow this user to use {}, or name another place", path.display())),
                io::ErrorKind::NotFound => Some("check the name".into()),
                _ => None,
            },
            Self::Model(_) | Self::Interrupted => None,
            Self::LostDevice(_) => Some("the last checkpoint is whole: continue from it with --model RUN_FOLDER".into()),
        }
    }

    /// The exit code: 2 for a wrong command line or configuration, 3 for a lost device, 130 for
    /// an interrupt, else 1.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage { .. } | Self::Configuration { .. } | Self::Model(_) => 2,
            Self::LostDevice(_) => 3,
            Self::Interrupted => 130,
            Self::Data { .. } | Self::RunFolder { .. } | Self::Checkpoint { .. } | Self::Io { .. } => 1,
        }
    }

    /// The message and the hint as the program prints them.
    pub fn text(&self) -> String {
        let hint = self.hint().map_or(String::new(), |hint| format!("\n help: {hint}"));
        format!("error: {self}{hint}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_says_what_to_do() {
        let error = TrainerError::io("write", Path::new("runs/a/x"))(io::Error::from(io::ErrorKind::StorageFull));
        assert!(error.to_string().contains("cannot write runs/a/x"), "{error}");
        assert!(error.hint().unwrap().contains("--out"));
        assert!(
            error.text().starts_with("error: cannot write runs/a/x")
                && error.text().contains("\n help: the disk is full")
        );
        assert_eq!(error.exit_code(), 1);
    }

    #[test]
    fn exit_codes_tell_kinds_apart() {
        assert_eq!(TrainerError::LostDevice("x".into()).exit_code(), 3);
        assert_eq!(TrainerError::Interrupted.exit_code(), 130);
        let usage = TrainerError::Usage { message: "m".into(), hint: None };
        assert_eq!(usage.exit_code(), 2);
    }
}
