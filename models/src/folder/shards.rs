//! Which files hold a folder's weights.
//!
//! Hugging Face: `model.safetensors`, or shards with `model.safetensors.index.json`. NX-AI's plain layout: `model_0.safetensors`,
//! `model_1.safetensors` and so on, without an index.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use safetensors::tensor::TensorView;
use serde_json::Value;

use super::file::File;
use super::{WEIGHTS, read_text};
use crate::{Error, Result};

/// The index of a sharded model.
pub const INDEX: &str = "model.safetensors.index.json";

/// The mapped files of a model's weights.
pub(super) struct Shards {
    /// The file, or the index, or the folder: for messages about the model as a whole.
    pub place: PathBuf,
    files: Vec<File>,
    /// From the index: the file of each tensor.
    map: Option<BTreeMap<String, String>>,
}

/// Where a tensor is stored, and what is there.
pub(super) struct Entry<'a> {
    /// The file.
    pub path: &'a Path,
    /// The tensor.
    pub view: TensorView<'a>,
}

impl Shards {
    /// Finds and maps the files.
    ///
    /// # Errors
    /// A folder without weights; an index that cannot be read; shards that are missing, all by name.
    pub(super) fn open(folder: &Path) -> Result<Self> {
        let single = folder.join(WEIGHTS);
        let index = folder.join(INDEX);
        if single.is_file() || !index.is_file() && plain_shards(folder).is_empty() {
            // Where there are no weights at all, the usual name is the one to complain of.
            if !single.is_file() {
                return Err(no_weights(folder, single));
            }
            return Ok(Self { files: vec![File::open(&single)?], place: single, map: None });
        }
        if index.is_file() {
            return Self::indexed(folder, index);
        }
        let numbers = plain_shards(folder);
        let missing: Vec<String> = (0..numbers.len() as u64)
            .filter(|number| !numbers.contains(number))
            .map(|number| format!("model_{number}.safetensors"))
            .collect();
        if !missing.is_empty() {
            return Err(Error::content(folder, format!("shards are missing: {}", missing.join(", "))));
        }
        let files = numbers.iter().map(|number| File::open(&folder.join(format!("model_{number}.safetensors"))));
        Ok(Self { files: files.collect::<Result<_>>()?, place: folder.to_owned(), map: None })
    }

    fn indexed(folder: &Path, index: PathBuf) -> Result<Self> {
        let value: Value =
            serde_json::from_str(&read_text(&index)?).map_err(|error| Error::content(&index, error.to_string()))?;
        let Some(Value::Object(entries)) = value.get("weight_map") else {
            return Err(Error::content(&index, "`weight_map` is missing: it should say which file holds each tensor"));
        };
        let mut map = BTreeMap::new();
        for (tensor, file) in entries {
            // A name of a file beside the index, never a way out of the folder.
            let Some(file) = file.as_str().filter(|file| is_file_name(file)) else {
                return Err(Error::content(
                    &index,
                    format!("`weight_map.{tensor}` is {file}; it must be a file's name"),
                ));
            };
            map.insert(tensor.clone(), file.to_owned());
        }
        let names: BTreeSet<&String> = map.values().collect();
        let missing: Vec<String> =
            names.iter().filter(|name| !folder.join(name).is_file()).map(|name| format!("`{name}`")).collect();
        if !missing.is_empty() {
            return Err(Error::content(&index, format!("shards are missing from the folder: {}", missing.join(", "))));
        }
        let files = names.iter().map(|name| File::open(&folder.join(name))).collect::<Result<_>>()?;
        Ok(Self { files, place: index, map: Some(map) })
    }

    /// All tensors by name.
    ///
    /// # Errors
    /// A malformed file; a tensor that is in two files, or that the index and the files disagree on.
    pub(super) fn tensors(&self) -> Result<HashMap<String, Entry<'_>>> {
        let mut all: HashMap<String, Entry> = HashMap::new();
        for file in &self.files {
            for (name, view) in file.tensors()? {
                if let Some(before) = all.get(&name) {
                    let message = format!("tensor `{name}` is in {} too", before.path.display());
                    return Err(Error::content(file.path(), message));
                }
                all.insert(name, Entry { path: file.path(), view });
            }
        }
        let Some(map) = &self.map else { return Ok(all) };
        let mut problems = Vec::new();
        for (name, file) in map {
            match all.get(name) {
                None => problems.push(format!("tensor `{name}` is not in {file}, where the index has it")),
                Some(entry) if entry.path.file_name().and_then(|name| name.to_str()) != Some(file) => {
                    let at = entry.path.display();
                    problems.push(format!("tensor `{name}` is in {at}, the index has it in {file}"));
                }
                Some(_) => {}
            }
        }
        let mut unlisted: Vec<&String> = all.keys().filter(|name| !map.contains_key(*name)).collect();
        unlisted.sort();
        problems.extend(
            unlisted.iter().map(|name| format!("tensor `{name}` of {} is not in the index", all[*name].path.display())),
        );
        if problems.is_empty() { Ok(all) } else { Err(Error::content(&self.place, super::listed(problems))) }
    }
}

fn no_weights(folder: &Path, single: PathBuf) -> Error {
    let torch =
        ["pytorch_model.bin", "pytorch_model.bin.index.json"].into_iter().find(|name| folder.join(name).is_file());
    match torch {
        Some(name) => Error::content(
            folder,
            format!(
                "its weights are in {name}; only safetensors can be read: save it again with transformers, safe_serialization=True"
            ),
        ),
        None => Error::content(single, format!("there is no such file, and neither {INDEX} nor model_0.safetensors")),
    }
}

fn is_file_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(['/', '\\', ':', '\0']) && name != "." && name != ".."
}

/// The numbers of the files `model_N.safetensors`.
fn plain_shards(folder: &Path) -> BTreeSet<u64> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let name = entry.file_name();
            name.to_str()?.strip_prefix("model_")?.strip_suffix(".safetensors")?.parse().ok()
        })
        .collect()
}
