//! Checkpoints that are whole or not there.
//!
//! A step is written to a folder `.tmp-…`, every file and then the folder are synced, the folder
//! is renamed once to `step-00000400` and its parent synced; then the file `latest`, which names
//! it, is replaced as one event. Whatever happens in between, `latest` names a whole step. So does
//! `best`, where a run has one: the step of its lowest validation loss.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::state::{FileRecord, Position, State, is_plain};
use super::storage::{Storage, replace};
use crate::data::tokens::hexadecimal;
use crate::error::{Result, TrainerError};

/// The folder of a run that holds its checkpoints.
pub const FOLDER: &str = "checkpoint";
/// The file that names the newest step.
pub const LATEST: &str = "latest";
/// The file that names the step of the lowest validation loss.
pub const BEST: &str = "best";
/// The file of a step that is written by [`write_step`] itself.
pub const STATE_FILE: &str = "state.json";

/// Writes the files of one step. Each is hashed on its way to the disk.
pub struct StepWriter<'a> {
    storage: &'a dyn Storage,
    folder: PathBuf,
    files: BTreeMap<String, FileRecord>,
}

/// A step that was saved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saved {
    /// Its folder.
    pub folder: PathBuf,
    /// Older steps that should be gone and could not be removed.
    pub left_over: Vec<PathBuf>,
}

impl StepWriter<'_> {
    /// Writes one file of the step.
    ///
    /// # Errors
    /// The system's, and that of `write`.
    pub fn file(&mut self, name: &str, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<()> {
        let path = self.folder.join(name);
        if !is_plain(name) || name == STATE_FILE || self.files.contains_key(name) {
            let source =
                io::Error::new(io::ErrorKind::InvalidInput, "not a name for a file of a step, or one that is taken");
            return Err(TrainerError::Io { action: "write", path, source });
        }
        let record = self.create(&path, write).map_err(TrainerError::io("write", &path))?;
        self.files.insert(name.into(), record);
        Ok(())
    }

    fn create(&self, path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<FileRecord> {
        let mut hashing = Hashing { inner: self.storage.create(path)?, hash: Sha256::new(), bytes: 0 };
        let mut buffered = BufWriter::with_capacity(1 << 20, &mut hashing);
        write(&mut buffered)?;
        buffered.flush()?;
        drop(buffered);
        let record = FileRecord { bytes: hashing.bytes, sha256: hexadecimal(&hashing.hash.finalize()) };
        drop(hashing.inner);
        self.storage.sync(path)?;
        Ok(record)
    }
}

struct Hashing {
    inner: Box<dyn Write>,
    hash: Sha256,
    bytes: u64,
}

impl Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// The name of a step's folder.
pub fn step_name(step: u64) -> String {
    format!("step-{step:08}")
}

/// The number in a step folder's name.
pub fn step_number(name: &str) -> Option<u64> {
    let number = name.strip_prefix("step-")?.parse().ok()?;
    (step_name(number) == name).then_some(number)
}

/// Which steps of a run stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keep {
    /// How many of the newest.
    pub newest: usize,
    /// The step of the lowest validation loss, beside them.
    pub best: Option<u64>,
}

/// Saves a step of a run; `write` writes its files. Then all steps but those to `keep` are
/// removed. If it fails, the steps that were there before are still there and `latest` names a
/// whole one. A step that is there already, whole and at the same position, is not written again.
///
/// # Errors
/// The system's, with the file, and those of `write`.
pub fn write_step(
    storage: &dyn Storage,
    run: &Path,
    position: &Position,
    keep: Keep,
    write: impl FnOnce(&mut StepWriter<'_>) -> Result<()>,
) -> Result<Saved> {
    let parent = run.join(FOLDER);
    storage.create_folder(&parent).map_err(TrainerError::io("create", &parent))?;
    remove_litter(&parent);
    let name = step_name(position.step);
    let half = parent.join(format!(".tmp-{name}"));
    let folder = parent.join(&name);
    let same = |there| Position { seconds: position.seconds, device: position.device.clone(), ..there } == *position;
    let is_there = read_step(&folder).is_ok_and(same);
    if !is_there {
        let written = fill(storage, &half, position, write).and_then(|()| publish(storage, &half, &folder));
        // Whether it failed or replaced a damaged step, what is in the way now is of no use.
        remove_litter(&parent);
        written?;
    }
    point(storage, &parent, LATEST, position.step)?;
    mark_best(storage, run, keep.best)?;
    let left_over = remove_older(storage, &parent, position.step, keep);
    Ok(Saved { folder, left_over })
}

/// Makes `latest` or `best` name a step.
fn point(storage: &dyn Storage, parent: &Path, pointer: &str, step: u64) -> Result<()> {
    let path = parent.join(pointer);
    let text = format!("{}\n", step_name(step));
    if fs::read_to_string(&path).is_ok_and(|there| there == text) {
        return Ok(());
    }
    replace(storage, &path, text.as_bytes()).map_err(TrainerError::io("write", &path))
}

/// Makes `best` name a step, or removes it.
///
/// # Errors
/// The system's.
pub fn mark_best(storage: &dyn Storage, run: &Path, best: Option<u64>) -> Result<()> {
    let parent = run.join(FOLDER);
    match best {
        Some(step) => point(storage, &parent, BEST, step),
        None => match fs::remove_file(parent.join(BEST)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(TrainerError::io("remove", &parent.join(BEST))(error))
            }
            _ => Ok(()),
        },
    }
}

fn fill(
    storage: &dyn Storage,
    half: &Path,
    position: &Position,
    write: impl FnOnce(&mut StepWriter<'_>) -> Result<()>,
) -> Result<()> {
    storage.create_folder(half).map_err(TrainerError::io("create", half))?;
    let mut writer = StepWriter { storage, folder: half.to_owned(), files: BTreeMap::new() };
    write(&mut writer)?;
    let path = half.join(STATE_FILE);
    let state = State::new(position.clone(), std::mem::take(&mut writer.files)).text().map_err(io::Error::other);
    writer
        .create(&path, |file| file.write_all(state?.as_bytes()))
        .and_then(|_| storage.sync(half))
        .map_err(TrainerError::io("write", &path))
}

/// Gives the finished folder its name. A damaged one that has it already makes room first.
fn publish(storage: &dyn Storage, half: &Path, folder: &Path) -> Result<()> {
    let parent = folder.parent().unwrap_or(Path::new("."));
    let rename = || {
        if folder.exists() {
            storage.rename(folder, &parent.join(format!(".tmp-replaced-{}", std::process::id())))?;
        }
        storage.rename(half, folder)?;
        storage.sync(parent)
    };
    rename().map_err(TrainerError::io("rename", half))
}

/// Removes what an interrupted save left behind. What cannot be removed now is tried next time.
fn remove_litter(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(".tmp-") {
            let path = entry.path();
            let _ = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        }
    }
}

fn remove_older(storage: &dyn Storage, parent: &Path, newest: u64, keep: Keep) -> Vec<PathBuf> {
    let older = steps_in(parent).filter(|step| *step < newest);
    let surplus: Vec<u64> =
        older.rev().skip(keep.newest.saturating_sub(1)).filter(|step| keep.best != Some(*step)).collect();
    surplus.into_iter().filter_map(|step| remove_step(storage, parent, step).err()).collect()
}

/// A step is renamed before its files go, so that no name of a step stands for half of one.
fn remove_step(storage: &dyn Storage, parent: &Path, step: u64) -> Result<(), PathBuf> {
    let (folder, going) = (parent.join(step_name(step)), parent.join(format!(".tmp-removed-{step}")));
    storage.rename(&folder, &going).and_then(|()| fs::remove_dir_all(&going)).map_err(|_| folder)
}

/// The steps of a checkpoint folder in ascending order; none where it cannot be read.
pub fn steps_in(parent: &Path) -> std::vec::IntoIter<u64> {
    let entries = fs::read_dir(parent).into_iter().flatten().flatten();
    let mut steps: Vec<u64> = entries.filter_map(|entry| step_number(entry.file_name().to_str()?)).collect();
    steps.sort();
    steps.into_iter()
}

/// Removes the steps after `step`, before a run goes on from it.
///
/// # Errors
/// If one cannot be removed.
pub fn discard_after(storage: &dyn Storage, run: &Path, step: u64) -> Result<()> {
    let parent = run.join(FOLDER);
    point(storage, &parent, LATEST, step)?;
    for later in steps_in(&parent).filter(|later| *later > step) {
        let refused = |path: PathBuf| TrainerError::io("remove", &path)(io::Error::other("it is in use or protected"));
        remove_step(storage, &parent, later).map_err(refused)?;
    }
    Ok(())
}

/// Whether a path is one of the files `latest` and `best` of a run.
pub fn is_pointer(path: &Path) -> bool {
    let is_named = path.file_name().is_some_and(|name| name == LATEST || name == BEST);
    is_named && path.parent().is_some_and(|parent| parent.ends_with(FOLDER)) && path.is_file()
}

/// The folder of the step that `latest` names, in a run or its folder `checkpoint`; of the one that `latest` or `best` names
/// where `path` is that file. A step's own folder is returned as it is.
///
/// # Errors
/// If there is none.
pub fn find_step(path: &Path) -> Result<PathBuf> {
    if path.join(STATE_FILE).is_file() {
        return Ok(path.to_owned());
    }
    let below = path.join(FOLDER);
    let pointer = match path {
        path if is_pointer(path) => path.to_owned(),
        _ if below.is_dir() => below.join(LATEST),
        path => path.join(LATEST),
    };
    let parent = pointer.parent().unwrap_or(Path::new(".")).to_owned();
    let broken =
        |problem: String| TrainerError::Checkpoint { path: pointer.clone(), problem, hint: other_steps(&parent) };
    // A run killed between its first step's folder, which is complete once it has its name, and `latest` has the folder alone.
    let is_latest = pointer.file_name().is_some_and(|name| name == LATEST);
    if let (true, false, Some(newest)) = (is_latest, pointer.exists(), steps_in(&parent).last()) {
        return Ok(parent.join(step_name(newest)));
    }
    let name = fs::read_to_string(&pointer).map_err(|error| broken(format!("no checkpoint here: {error}")))?;
    let name = name.trim_end();
    if step_number(name).is_none() {
        return Err(broken(format!("`{name}` is not the name of a step")));
    }
    let folder = parent.join(name);
    if folder.is_dir() { Ok(folder) } else { Err(broken(format!("it names {name}, which is not there"))) }
}

/// Reads where a step's run stood, after checking the length and hash of every file.
///
/// # Errors
/// If a file is missing, shorter, longer or different: names it.
pub fn read_step(folder: &Path) -> Result<Position> {
    let hint = || folder.parent().map_or_else(String::new, other_steps);
    let broken =
        |path: &Path, problem: String| TrainerError::Checkpoint { path: path.to_owned(), problem, hint: hint() };
    let path = folder.join(STATE_FILE);
    let text = fs::read_to_string(&path).map_err(|error| broken(&path, error.to_string()))?;
    let state = State::parse(&text).map_err(|problem| broken(&path, problem))?;
    for (name, record) in &state.files {
        let path = folder.join(name);
        let (bytes, sha256) = measure(&path).map_err(|error| broken(&path, error.to_string()))?;
        if bytes != record.bytes {
            return Err(broken(
                &path,
                format!("has {bytes} bytes and should have {}: it was cut off or changed", record.bytes),
            ));
        }
        if sha256 != record.sha256 {
            return Err(broken(&path, "does not match the hash it was saved with: it was changed or damaged".into()));
        }
    }
    Ok(state.position)
}

fn measure(path: &Path) -> io::Result<(u64, String)> {
    let mut file = fs::File::open(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    let mut bytes = 0;
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok((bytes, hexadecimal(&hash.finalize()))),
            count => {
                hash.update(&buffer[..count]);
                bytes += count as u64;
            }
        }
    }
}

fn other_steps(parent: &Path) -> String {
    let steps: Vec<String> = steps_in(parent).map(step_name).collect();
    match steps.as_slice() {
        [] => "there is no other step beside it; name the folder of a run".into(),
        steps => format!("name a step with --model {}/STEP; there are {}", parent.display(), steps.join(", ")),
    }
}

#[cfg(test)]
mod tests;
