//! Checkpoints and the picture, written by a thread of their own so that no step waits for the disk.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use gradus_models::folder;
use gradus_models::hugging_face::SpecialTokens;
use gradus_models::tokenizer::TOKENIZER;

use super::step::Learner;
use crate::data::prepared::TokenizerFile;
use crate::error::{Result, TrainerError};
use crate::run_folder::checkpoint::Keep;
use crate::run_folder::storage::Disk;
use crate::run_folder::{Position, Row, Saved, checkpoint, plot};

/// The file of a step that holds the optimizer's moments.
pub const TRAINING_FILE: &str = "training.safetensors";

/// The name of a weight's mean gradient in [`TRAINING_FILE`].
pub fn first_moment(weight: &str) -> String {
    format!("first_moment.{weight}")
}

/// The name of a weight's mean squared gradient in [`TRAINING_FILE`].
pub fn second_moment(weight: &str) -> String {
    format!("second_moment.{weight}")
}

/// A checkpoint in memory.
#[derive(Debug)]
pub struct Snapshot {
    position: Position,
    files: Vec<(&'static str, Vec<u8>)>,
    rows: Vec<Row>,
    best: Option<u64>,
}

impl Snapshot {
    /// Copies weights and moments off the device. `best` is the step whose checkpoint stays beside the newest.
    ///
    /// # Errors
    /// A fault of the device.
    pub fn take(
        learner: &Learner,
        tokenizer: Option<&TokenizerFile>,
        position: Position,
        rows: &[Row],
        best: Option<u64>,
    ) -> Result<Self> {
        let end = tokenizer.and_then(|tokenizer| tokenizer.end);
        let special = &SpecialTokens { end: end.into_iter().collect(), ..SpecialTokens::default() };
        let mut files = folder::files(&learner.model, special)?;
        if let Some(tokenizer) = tokenizer {
            files.push((TOKENIZER, tokenizer.content.to_vec()));
        }
        let mut training = folder::Named::default();
        for (place, parameter) in learner.optimizer.parameters().iter().enumerate() {
            let moments = learner.optimizer.moments(place)?;
            training.add(first_moment(&parameter.name), &moments.first)?;
            training.add(second_moment(&parameter.name), &moments.second)?;
        }
        files.push((TRAINING_FILE, training.to_bytes()?));
        Ok(Self { position, files, rows: rows.to_vec(), best })
    }
}

/// The thread that writes.
#[derive(Debug)]
pub struct Saver {
    snapshots: Option<SyncSender<Snapshot>>,
    results: Receiver<Result<Saved>>,
    outstanding: usize,
    thread: Option<JoinHandle<()>>,
}

impl Saver {
    /// Starts the thread for a run, of whose steps the newest `keep` stay. `title` is the picture's.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn start(run: PathBuf, keep: usize, title: String) -> Result<Self> {
        let (snapshots, received) = sync_channel::<Snapshot>(0);
        let (done, results) = sync_channel(1);
        let write = move || {
            for snapshot in received {
                if done.send(write(&run, keep, &title, &snapshot)).is_err() {
                    return;
                }
            }
        };
        let thread = thread::Builder::new()
            .name("gradus-saver".into())
            .spawn(write)
            .map_err(TrainerError::io("start", "the thread that saves".as_ref()))?;
        Ok(Self { snapshots: Some(snapshots), results, outstanding: 0, thread: Some(thread) })
    }

    /// Writes a checkpoint while the run goes on; waits only if the one before is not written yet. Returns what became of
    /// that one.
    ///
    /// # Errors
    /// What went wrong with the one before.
    pub fn save(&mut self, snapshot: Snapshot) -> Result<Option<Saved>> {
        let before = self.wait()?;
        let sent = self.snapshots.as_ref().is_some_and(|snapshots| snapshots.send(snapshot).is_ok());
        if !sent {
            return Err(stopped());
        }
        self.outstanding = 1;
        Ok(before)
    }

    /// What became of a checkpoint that is written by now.
    ///
    /// # Errors
    /// What went wrong with it.
    pub fn poll(&mut self) -> Result<Option<Saved>> {
        match self.results.try_recv() {
            Ok(result) => {
                self.outstanding = 0;
                result.map(Some)
            }
            Err(_) => Ok(None),
        }
    }

    /// Waits until the last checkpoint is written.
    ///
    /// # Errors
    /// What went wrong with it.
    pub fn wait(&mut self) -> Result<Option<Saved>> {
        if self.outstanding == 0 {
            return Ok(None);
        }
        self.outstanding = 0;
        self.results.recv().map_err(|_| stopped())?.map(Some)
    }
}

impl Drop for Saver {
    fn drop(&mut self) {
        drop(self.snapshots.take());
        if let Some(thread) = self.thread.take() {
            // A panic there has been printed by its own thread.
            let _ = thread.join();
        }
    }
}

fn stopped() -> TrainerError {
    TrainerError::io("write", "a checkpoint".as_ref())(std::io::Error::other("the thread that saves has stopped"))
}

fn write(run: &std::path::Path, keep: usize, title: &str, snapshot: &Snapshot) -> Result<Saved> {
    let keep = Keep { newest: keep, best: snapshot.best };
    let saved = checkpoint::write_step(&Disk, run, &snapshot.position, keep, |writer| {
        snapshot.files.iter().try_for_each(|(name, content)| writer.file(name, |file| file.write_all(content)))
    })?;
    plot::write(run, title, &snapshot.rows)?;
    Ok(saved)
}
