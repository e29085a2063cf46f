//! The default text: Rust sources that every machine which builds this program already has.
//!
//! The `.rs` files under `src/` of the crates in [`CRATES`], sorted by path and joined; the files
//! whose path's hash says so are held out for validation. It is assembled once into the user's
//! cache folder and checked against its hash at every start.

mod crates;
mod sources;

use std::fs;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

pub use crates::{CRATES, TRAIN_SHA256, VALIDATION_SHA256};

use super::splitting::is_validation;
use super::tokens::Tokens;
use super::walk::files_under;
use crate::error::{Result, TrainerError};

/// Share of the files that is held out.
const VALIDATION_FRACTION: f64 = 0.05;

/// Name of the training text in its folder.
pub const TRAIN_FILE: &str = "train.txt";
/// Name of the validation text in its folder.
pub const VALIDATION_FILE: &str = "validation.txt";

/// The two texts and how they were come by.
#[derive(Debug)]
pub struct DefaultCorpus {
    /// Text to train on.
    pub train: Tokens,
    /// Text that is held out.
    pub validation: Tokens,
    /// The folder that holds them, unless it could not be written.
    pub folder: Option<PathBuf>,
    /// What the user should know: the folder is new, could not be written, or the text differs.
    pub notes: Vec<String>,
}

/// The folder of the default text in a cache folder.
pub fn folder_in(cache: &Path) -> PathBuf {
    cache.join(format!("rust-{}", &TRAIN_SHA256[..12]))
}

/// The default text from the user's cache folder, assembled there first if it is not there.
///
/// # Errors
/// If neither the cache nor cargo has it: says how to name other data.
pub fn open() -> Result<DefaultCorpus> {
    let cache = directories::ProjectDirs::from("", "", "gradus").map(|folders| folders.cache_dir().to_owned());
    let cargo_home = sources::cargo_home();
    open_with(cache.as_deref(), cargo_home.as_deref(), Path::new(sources::WORKSPACE_MANIFEST))
}

/// [`open`] with the places named.
///
/// # Errors
/// As [`open`].
pub fn open_with(cache: Option<&Path>, cargo_home: Option<&Path>, manifest: &Path) -> Result<DefaultCorpus> {
    let folder = cache.map(folder_in);
    if let Some(folder) = &folder
        && let Some((train, validation)) = read(folder)
    {
        return Ok(DefaultCorpus { train, validation, folder: Some(folder.clone()), notes: Vec::new() });
    }
    let (train, validation) = assemble(folder.as_deref(), cargo_home, manifest)?;
    let (train, validation) = (Tokens::owned(train), Tokens::owned(validation));
    let mut notes = Vec::new();
    if !is_published(&train, &validation) {
        notes.push("the crates' sources on this machine differ from the published ones: losses cannot be compared with other machines'".into());
        return Ok(DefaultCorpus { train, validation, folder: None, notes });
    }
    let kept = folder.and_then(|folder| match write(&folder, &train, &validation) {
        Ok(()) => {
            notes.push(format!("assembled the default text in {}", folder.display()));
            Some(folder)
        }
        Err(error) => {
            notes.push(format!("the default text was not kept for the next start: {error}"));
            None
        }
    });
    Ok(DefaultCorpus { train, validation, folder: kept, notes })
}

fn is_published(train: &Tokens, validation: &Tokens) -> bool {
    let (train, validation) = rayon::join(|| train.sha256(), || validation.sha256());
    train == TRAIN_SHA256 && validation == VALIDATION_SHA256
}

/// The texts of a folder if both are there and are the published ones.
fn read(folder: &Path) -> Option<(Tokens, Tokens)> {
    let train = Tokens::map(&folder.join(TRAIN_FILE)).ok()?;
    let validation = Tokens::map(&folder.join(VALIDATION_FILE)).ok()?;
    is_published(&train, &validation).then_some((train, validation))
}

/// Writes a folder beside its final place, then renames it there, so that no reader and no crash
/// sees half of it.
fn write(folder: &Path, train: &[u8], validation: &[u8]) -> Result<()> {
    let parent = folder.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(parent).map_err(TrainerError::io("create", parent))?;
    let half = parent.join(format!(".tmp-{}-{:x}", std::process::id(), std::ptr::from_ref(train).addr()));
    let filled = fill(&half, train, validation).and_then(|()| {
        if folder.exists() && read(folder).is_none() {
            fs::remove_dir_all(folder).map_err(TrainerError::io("replace", folder))?;
        }
        fs::rename(&half, folder).map_err(TrainerError::io("rename", &half))
    });
    if filled.is_err() {
        // Nothing depends on the half-written folder; if it cannot be removed it is only litter.
        let _ = fs::remove_dir_all(&half);
    }
    // Another process may have put the same text there first.
    if read(folder).is_some() { Ok(()) } else { filled }
}

fn fill(folder: &Path, train: &[u8], validation: &[u8]) -> Result<()> {
    fs::create_dir_all(folder).map_err(TrainerError::io("create", folder))?;
    let list: String = CRATES.iter().map(|(name, version)| format!("{name} {version}\n")).collect();
    for (name, bytes) in [(TRAIN_FILE, train), (VALIDATION_FILE, validation), ("crates.txt", list.as_bytes())] {
        let path = folder.join(name);
        fs::write(&path, bytes).map_err(TrainerError::io("write", &path))?;
    }
    Ok(())
}

/// Joins the sources into the training and the validation text.
fn assemble(cache: Option<&Path>, cargo_home: Option<&Path>, manifest: &Path) -> Result<(Vec<u8>, Vec<u8>)> {
    let mut folders = cargo_home.map(|home| sources::from_registry(home, &CRATES)).unwrap_or_default();
    if folders.len() < CRATES.len() {
        folders.extend(sources::from_metadata(manifest, &CRATES));
    }
    let missing: Vec<String> = CRATES
        .iter()
        .filter(|(name, version)| !folders.contains_key(&(name.to_string(), version.to_string())))
        .map(|(name, version)| format!("{name} {version}"))
        .collect();
    if !missing.is_empty() {
        return Err(not_found(cache, &missing));
    }
    let mut files = Vec::new();
    for ((name, _), folder) in &folders {
        let source = folder.join("src");
        let found = files_under(&source)?.into_iter().filter(|file| file.name.ends_with(".rs"));
        // Without the version, so that an update moves no file from one text to the other.
        files.extend(found.map(|file| (format!("{name}/src/{}", file.name), file.path)));
    }
    files.sort();
    let read = |(name, path): &(String, PathBuf)| {
        let text = fs::read(path).map_err(TrainerError::io("read", path))?;
        Ok((is_validation(name, VALIDATION_FRACTION), text))
    };
    let texts: Vec<(bool, Vec<u8>)> = files.par_iter().map(read).collect::<Result<_>>()?;
    let join = |held_out: bool| {
        let mut joined = Vec::new();
        for (_, text) in texts.iter().filter(|(is_held_out, _)| *is_held_out == held_out) {
            joined.extend_from_slice(text);
            if !text.ends_with(b"\n") {
                joined.push(b'\n');
            }
        }
        joined
    };
    Ok(rayon::join(|| join(false), || join(true)))
}

fn not_found(cache: Option<&Path>, missing: &[String]) -> TrainerError {
    let named = missing.iter().take(3).cloned().collect::<Vec<_>>().join(", ");
    let folder = cache.map_or_else(|| "the user's cache folder".into(), |folder| folder.display().to_string());
    TrainerError::Data {
        path: cache.map(Path::to_owned).unwrap_or_else(|| PathBuf::from("(default text)")),
        problem: format!(
            "the default text is not there, and cargo has not the sources to make it: {} of {} crates are missing ({named}{})",
            missing.len(),
            CRATES.len(),
            if missing.len() > 3 { ", …" } else { "" }
        ),
        hint: format!(
            "name a text file or a folder of text with --data, or copy {folder} from a machine that has it, or build gradus here with cargo"
        ),
    }
}

#[cfg(test)]
mod tests;
