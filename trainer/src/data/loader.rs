//! Batches made ahead on a thread of their own, so that no step waits for the disk.

use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::{self, JoinHandle};

use super::batches::Batches;
use super::windows::Batch;
use crate::error::{Result, TrainerError};

/// The batches of a run from a position on, in order. Dropping it ends its thread.
#[derive(Debug)]
pub struct Loader {
    batches: Option<Receiver<Batch>>,
    thread: Option<JoinHandle<()>>,
    position: u64,
    batch: usize,
}

impl Loader {
    /// Starts at a row's position; at most `ahead` finished batches wait.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn start(rows: Batches, position: u64, batch: usize, ahead: usize) -> Result<Self> {
        let (sender, batches) = sync_channel(ahead);
        let make = move || {
            let mut next = position;
            // The channel is closed when the loader is dropped.
            while sender.send(rows.batch(next, batch)).is_ok() {
                next += batch as u64;
            }
        };
        let thread = thread::Builder::new()
            .name("gradus-data".into())
            .spawn(make)
            .map_err(TrainerError::io("start", "the data thread".as_ref()))?;
        Ok(Self { batches: Some(batches), thread: Some(thread), position, batch })
    }

    /// Position of the row that the next batch begins with: all that resuming needs.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// The next batch.
    ///
    /// # Errors
    /// If the thread has ended, which only a failure in it can cause.
    pub fn next_batch(&mut self) -> Result<Batch> {
        let received = self.batches.as_ref().and_then(|batches| batches.recv().ok());
        let stopped = || std::io::Error::other("it stopped");
        let batch = received.ok_or_else(stopped).map_err(TrainerError::io("read from", "the data thread".as_ref()))?;
        self.position += self.batch as u64;
        Ok(batch)
    }
}

impl Drop for Loader {
    fn drop(&mut self) {
        drop(self.batches.take());
        if let Some(thread) = self.thread.take() {
            // A panic there has been printed by its own thread.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::tokens::Tokens;
    use crate::data::windows::Windows;

    fn windows() -> Windows {
        Windows::new(Tokens::owned((0..2000).map(|i| (i * 7 % 256) as u8).collect()).into(), 16, 5).unwrap()
    }

    #[test]
    fn batches_come_in_order_from_the_position_on() {
        let mut loader = Loader::start(windows().into(), 0, 4, 2).unwrap();
        let first: Vec<Batch> = (0..200).map(|_| loader.next_batch().unwrap()).collect();
        assert_eq!(loader.position(), 800);
        for (step, batch) in first.iter().enumerate() {
            assert_eq!(*batch, windows().batch(4 * step as u64, 4));
        }
        // Resuming in the middle gives what would have come.
        let mut resumed = Loader::start(windows().into(), 4 * 150, 4, 1).unwrap();
        for batch in &first[150..] {
            assert_eq!(resumed.next_batch().unwrap(), *batch);
        }
    }

    #[test]
    fn dropping_ends_the_thread_while_it_waits() {
        for _ in 0..50 {
            let mut loader = Loader::start(windows().into(), 0, 1, 1).unwrap();
            loader.next_batch().unwrap();
        }
    }
}
