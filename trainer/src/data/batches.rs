//! What a run is trained on: windows of a text, or rows of a task.

use super::tasks::Rows;
use super::windows::{Batch, Windows};

/// An endless sequence of rows, numbered by position from 0: with a constant batch, step s takes positions s·batch to
/// (s + 1)·batch − 1.
#[derive(Clone, Debug)]
pub enum Batches {
    /// Windows of a text.
    Text(Windows),
    /// Rows of a synthetic task.
    Task(Rows),
}

impl Batches {
    /// The batch of the rows from a position on.
    pub fn batch(&self, position: u64, batch: usize) -> Batch {
        match self {
            Self::Text(windows) => windows.batch(position, batch),
            Self::Task(rows) => rows.batch(position, batch),
        }
    }

    /// Rows of one epoch; a task never repeats itself.
    pub fn per_epoch(&self) -> u64 {
        match self {
            Self::Text(windows) => windows.per_epoch(),
            Self::Task(_) => u64::MAX,
        }
    }
}

impl From<Windows> for Batches {
    fn from(windows: Windows) -> Self {
        Self::Text(windows)
    }
}
