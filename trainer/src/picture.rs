//! Diagrams as files, SVG or PNG by the name's ending.

use std::path::Path;

use gradus_fit::{FitError, plot};

use crate::run_folder::storage::{Disk, replace};

/// How a picture is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Picture {
    /// Scalable vector graphics.
    Svg,
    /// Pixels.
    Png,
}

impl Picture {
    /// By the ending of the file's name.
    ///
    /// # Errors
    /// If it is neither `.svg` nor `.png`.
    pub fn of(path: &Path) -> Result<Self, FitError> {
        match path.extension().and_then(|e| e.to_str()).map(str::to_ascii_lowercase).as_deref() {
            Some("svg") => Ok(Self::Svg),
            Some("png") => Ok(Self::Png),
            _ => Err(error(path, "a plot is written as .svg or .png".into())),
        }
    }
}

fn error(path: &Path, problem: String) -> FitError {
    FitError::File { path: path.display().to_string(), problem }
}

/// Writes the diagrams one below the other.
///
/// # Errors
/// A name with another ending, or the system's.
pub fn write(path: &Path, plots: &[plot::Plot]) -> Result<(), FitError> {
    let bytes = match Picture::of(path)? {
        Picture::Svg => plot::svg(plots).into_bytes(),
        Picture::Png => plot::png(plots)?,
    };
    write_whole(path, &bytes)
}

/// Writes beside the path and renames, so that no half a file is ever there.
///
/// # Errors
/// The system's.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), FitError> {
    replace(&Disk, path, bytes).map_err(|e| error(path, format!("cannot be written: {e}")))
}
