//! What can go wrong with a model, said so that the reader knows which file and field to look at.

use std::path::PathBuf;

/// The result of this crate's functions.
pub type Result<T> = std::result::Result<T, Error>;

/// Every failure of this crate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A configuration that no model can have.
    #[error(transparent)]
    Configuration(#[from] crate::configuration::ConfigurationError),
    /// The engine's.
    #[error(transparent)]
    Engine(#[from] gradus_engine::Error),
    /// A file that cannot be read or written.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A file whose content is not what it should be.
    #[error("{path}: {message}")]
    Content {
        /// The file.
        path: PathBuf,
        /// The field or tensor, what is wrong, and what is expected.
        message: String,
    },
    /// Something asked of a model that it cannot do.
    #[error("{0}")]
    Request(String),
}

impl Error {
    pub(crate) fn content(path: impl Into<PathBuf>, message: impl Into<String>) -> Self {
        Self::Content { path: path.into(), message: message.into() }
    }

    pub(crate) fn file(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { path, source }
    }
}
