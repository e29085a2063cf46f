//! What can go wrong in the trainer, with the hint and the exit code of each.

use std::io;
use std::path::{Path, PathBuf};

use gradus_engine::Device;
use gradus_models::configuration::ConfigurationError;

use crate::figures;

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
    /// A folder of reference vectors, or a file of it, that cannot be used.
    #[error("vectors {}: {problem}", .path.display())]
    Vectors {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong with it, with the name of the tensor or the field.
        problem: String,
    },
    /// A program of Slurm's is not there, or refused.
    #[error("{program}: {problem}")]
    Slurm {
        /// Its name.
        program: String,
        /// What it said.
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
    #[error("the device was lost {}: {reason}", .during)]
    LostDevice {
        /// The step and what was being computed in it.
        during: String,
        /// The driver's words.
        reason: String,
    },
    /// What the engine refused or met.
    #[error(transparent)]
    Engine(gradus_engine::Error),
    /// A model's files, or what was asked of the model.
    #[error(transparent)]
    Weights(gradus_models::Error),
    /// The run needs more memory than there is.
    #[error("the run needs {} of memory and {} are free", figures::bytes(*.need), figures::bytes(*.have))]
    Memory {
        /// Bytes planned.
        need: u64,
        /// Bytes there are.
        have: u64,
        /// What would fit.
        advice: String,
    },
    /// NaN or infinity in gradients, and the run is to stop there, or it never ends.
    #[error("step {step}: {problem}")]
    NonFinite {
        /// The step, from 1.
        step: u64,
        /// The tensor and what is wrong.
        problem: String,
    },
    /// Operations that are over their bound.
    #[error("{0}")]
    ChecksFailed(String),
    /// The fitter's.
    #[error(transparent)]
    Fit(#[from] gradus_fit::FitError),
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
            Self::Data { hint, .. }
            | Self::RunFolder { hint, .. }
            | Self::Checkpoint { hint, .. }
            | Self::Slurm { hint, .. } => Some(hint.clone()),
            Self::Io { source, path, .. } => match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                    Some("the disk is full: free some space, or name a folder on another disk with --out; the last whole checkpoint is still good".into())
                }
                io::ErrorKind::PermissionDenied => Some(format!("allow this user to use {}, or name another place", path.display())),
                io::ErrorKind::NotFound => Some("check the name".into()),
                _ => None,
            },
            Self::Vectors { .. } => Some("docs/checks.md says how a folder of reference vectors is laid out".into()),
            Self::Engine(error) => engine_hint(error),
            Self::Weights(gradus_models::Error::Engine(error)) => engine_hint(error),
            Self::Weights(gradus_models::Error::Content { .. } | gradus_models::Error::File { .. }) => {
                Some("name a folder with a whole config.json and model.safetensors: a run, one of its steps, or weights in Hugging Face layout".into())
            }
            Self::Memory { advice, .. } => Some(advice.clone()),
            Self::NonFinite { .. } => {
                Some("lower --learning-rate; the last checkpoint is whole, and the weights hold no NaN".into())
            }
            Self::Model(_) | Self::Weights(_) | Self::ChecksFailed(_) | Self::Fit(_) | Self::Interrupted => None,
            Self::LostDevice { .. } => {
                Some("the last checkpoint is whole: continue from it with gradus train --resume RUN_FOLDER".into())
            }
        }
    }

    /// The exit code: 2 for a wrong command line or configuration, 3 for a lost device, 130 for
    /// an interrupt, else 1.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage { .. } | Self::Configuration { .. } | Self::Model(_) => 2,
            Self::LostDevice { .. } => 3,
            Self::Interrupted => 130,
            _ => 1,
        }
    }

    /// The message and the hint as the program prints them.
    pub fn text(&self) -> String {
        let hint = self.hint().map_or(String::new(), |hint| format!("\n help: {hint}"));
        format!("error: {self}{hint}")
    }
}

fn engine_hint(error: &gradus_engine::Error) -> Option<String> {
    match error {
        gradus_engine::Error::NoAdapter(_) => {
            Some("`gradus devices` lists what there is; --device cpu always works".into())
        }
        gradus_engine::Error::OutOfMemory(_) => {
            Some("use a smaller --batch, --context or --model, --gradient-checkpointing, or --device cpu".into())
        }
        gradus_engine::Error::Limit { .. } => {
            Some("use a smaller --batch, --context or --model, or --device cpu".into())
        }
        _ => None,
    }
}

impl From<gradus_engine::Error> for TrainerError {
    fn from(error: gradus_engine::Error) -> Self {
        match error {
            gradus_engine::Error::DeviceLost(reason) => Self::LostDevice { during: "while it computed".into(), reason },
            other => Self::Engine(other),
        }
    }
}

impl From<gradus_models::Error> for TrainerError {
    fn from(error: gradus_models::Error) -> Self {
        match error {
            gradus_models::Error::Engine(error) => error.into(),
            gradus_models::Error::Configuration(error) => Self::Model(error),
            other => Self::Weights(other),
        }
    }
}

impl TrainerError {
    /// Says at which step and in which part of it a device was lost. A lost device may show itself first by another error,
    /// of a buffer for instance: so the device is asked. Other errors stay as they are.
    pub fn at(self, device: &Device, step: u64, part: &str) -> Self {
        let reason = match self {
            Self::LostDevice { reason, .. } => reason,
            Self::Engine(error) => match lost(device) {
                Some(reason) => reason,
                None => return Self::Engine(error),
            },
            other => return other,
        };
        Self::LostDevice { during: format!("at step {step} during the {part}"), reason }
    }
}

/// Why a device is lost, if it is. The engine reports the fault that came first, then that the device is gone.
fn lost(device: &Device) -> Option<String> {
    (0..2).filter(|_| device.is_gpu()).find_map(|_| match device.synchronize() {
        Err(gradus_engine::Error::DeviceLost(reason)) => Some(reason),
        _ => None,
    })
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
        let lost =
            TrainerError::from(gradus_engine::Error::DeviceLost("gone".into())).at(&Device::cpu(), 7, "backward");
        assert_eq!(lost.to_string(), "the device was lost at step 7 during the backward: gone");
        assert_eq!(lost.exit_code(), 3);
        assert_eq!(TrainerError::Interrupted.exit_code(), 130);
        let usage = TrainerError::Usage { message: "m".into(), hint: None };
        assert_eq!(usage.exit_code(), 2);
    }
}
