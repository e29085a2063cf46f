//! `manifest.json`: for every file its parameters, and for every tensor its type, sizes, role and tolerances.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Component, Path};

use serde::Deserialize;
use serde_json::{Map, Value};

use super::bad;
use crate::error::{Result, TrainerError};

/// The file's name in a folder of vectors.
pub const MANIFEST: &str = "manifest.json";

/// What the manifest says of one file.
#[derive(Clone, Debug, Deserialize)]
pub struct Entry {
    /// The parameters: shapes, ε, learning rate and so on. What is missing here is looked up in the file's own metadata.
    #[serde(default)]
    pub meta: Map<String, Value>,
    /// The tensors, by name.
    pub tensors: BTreeMap<String, TensorEntry>,
}

/// What the manifest says of one tensor.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct TensorEntry {
    /// float32, float64, int64 or int32.
    pub dtype: Option<String>,
    /// The sizes, outermost first.
    pub shape: Option<Vec<usize>>,
    /// The relmax allowed in f32 on the CPU.
    pub tol_cpu: Option<f64>,
    /// The relmax allowed on a GPU.
    pub tol_gpu: Option<f64>,
}

/// Reads the manifest of a folder: files, as paths inside the folder with `/`, with their entries.
///
/// # Errors
/// A manifest that is missing, no JSON object of files, names no file, or has an entry that is wrong: with the entry's name
/// and the field.
pub fn read(folder: &Path) -> Result<BTreeMap<String, Entry>> {
    if !folder.is_dir() {
        return Err(bad(folder, "there is no such folder"));
    }
    let path = folder.join(MANIFEST);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(bad(folder, format!("it has no {MANIFEST}")));
        }
        Err(error) if error.kind() == std::io::ErrorKind::InvalidData => {
            return Err(bad(&path, "it is not UTF-8 text"));
        }
        Err(error) => return Err(TrainerError::io("read", &path)(error)),
    };
    let files: BTreeMap<String, Value> = serde_json::from_str(&text)
        .map_err(|error| bad(&path, format!("it is not a JSON object of files: {error}")))?;
    if files.is_empty() {
        return Err(bad(&path, "it names no file"));
    }
    files.into_iter().map(|(name, value)| entry(&path, &name, value).map(|entry| (name, entry))).collect()
}

fn entry(path: &Path, name: &str, value: Value) -> Result<Entry> {
    if !Path::new(name).components().all(|part| matches!(part, Component::Normal(_))) || name.is_empty() {
        return Err(bad(path, format!("entry `{name}`: not a path inside the folder")));
    }
    let entry: Entry = serde_json::from_value(value).map_err(|error| bad(path, format!("entry `{name}`: {error}")))?;
    for (tensor, TensorEntry { tol_cpu, tol_gpu, .. }) in &entry.tensors {
        for (field, tolerance) in [("tol_cpu", tol_cpu), ("tol_gpu", tol_gpu)] {
            if tolerance.is_some_and(|tolerance| !(tolerance.is_finite() && tolerance > 0.0)) {
                return Err(bad(path, format!("entry `{name}`: `{field}` of tensor `{tensor}` must be over 0")));
            }
        }
    }
    Ok(entry)
}
