//! One file of vectors: its tensors as they are stored, and its parameters.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use gradus_engine::definition::Array;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;

use super::bad;
use super::manifest::{Entry, TensorEntry};
use crate::error::{Result, TrainerError};

/// The tensors and parameters of one file. Every access notes the tensor as used.
#[derive(Debug)]
pub struct Vectors {
    path: PathBuf,
    tensors: BTreeMap<String, Stored>,
    entry: Entry,
    /// The parameters as the file itself holds them, where the manifest does not.
    own: HashMap<String, String>,
    used: RefCell<BTreeSet<String>>,
}

#[derive(Debug)]
enum Stored {
    Floats(Array),
    Integers(Vec<usize>, Vec<i64>),
}

impl Vectors {
    /// Reads a file and compares it with what the manifest says of it.
    ///
    /// # Errors
    /// A file that cannot be read or is not whole; a tensor that the manifest names and the file lacks, or that has another
    /// type or other sizes; a type other than f32, f64, i32 and i64; a number that is not finite.
    pub fn read(folder: &Path, name: &str, entry: Entry) -> Result<Self> {
        let path = folder.join(name);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(bad(&path, "the manifest names it, but there is no such file"));
            }
            Err(error) => return Err(TrainerError::io("read", &path)(error)),
        };
        let broken = |error| bad(&path, format!("it is not a whole safetensors file ({error}); it may be truncated"));
        let (_, header) = SafeTensors::read_metadata(&bytes).map_err(broken)?;
        let own = header.metadata().clone().unwrap_or_default();
        let parsed = SafeTensors::deserialize(&bytes).map_err(broken)?;
        let mut tensors = BTreeMap::new();
        for (name, view) in parsed.iter() {
            tensors.insert(name.to_owned(), stored(&path, name, &view)?);
        }
        for (name, expected) in &entry.tensors {
            let view = parsed.tensor(name).map_err(|_| bad(&path, format!("tensor `{name}` is missing")))?;
            agrees(&path, name, expected, &view)?;
        }
        Ok(Self { path, tensors, entry, own, used: RefCell::default() })
    }

    /// An error that names this file.
    pub fn problem(&self, problem: impl Into<String>) -> TrainerError {
        bad(&self.path, problem)
    }

    /// Whether there is such a tensor.
    pub fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// The names of all tensors, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// What the manifest says of a tensor; nothing, if it does not name it.
    pub fn entry(&self, name: &str) -> TensorEntry {
        self.entry.tensors.get(name).cloned().unwrap_or_default()
    }

    /// Tensors that nothing has used so far.
    pub fn unused(&self) -> Vec<&str> {
        self.names().filter(|name| !self.used.borrow().contains(*name)).collect()
    }

    /// A tensor of floats; `None` if the file has no such tensor.
    ///
    /// # Errors
    /// A tensor of integers.
    pub fn optional(&self, name: &str) -> Result<Option<&Array>> {
        match self.tensors.get(name) {
            None => Ok(None),
            Some(Stored::Floats(array)) => {
                self.used.borrow_mut().insert(name.into());
                Ok(Some(array))
            }
            Some(Stored::Integers(..)) => Err(self.problem(format!("tensor `{name}` holds integers, not floats"))),
        }
    }

    /// A tensor of floats.
    ///
    /// # Errors
    /// A tensor that is missing or holds integers.
    pub fn array(&self, name: &str) -> Result<&Array> {
        self.optional(name)?.ok_or_else(|| self.missing(name))
    }

    /// A tensor of floats of these sizes, where sizes of 1 at the end do not count.
    ///
    /// # Errors
    /// As [`Self::array`]; other sizes.
    pub fn shaped(&self, name: &str, sizes: &[usize]) -> Result<Array> {
        self.optional_shaped(name, sizes)?.ok_or_else(|| self.missing(name))
    }

    /// [`Self::shaped`], or `None` if the file has no such tensor.
    ///
    /// # Errors
    /// As [`Self::shaped`].
    pub fn optional_shaped(&self, name: &str, sizes: &[usize]) -> Result<Option<Array>> {
        let Some(array) = self.optional(name)? else { return Ok(None) };
        if !same_sizes(&array.sizes, sizes) {
            return Err(self.problem(format!("tensor `{name}` has sizes {:?}, expected {sizes:?}", array.sizes)));
        }
        Ok(Some(Array::new(sizes, array.data.clone())))
    }

    /// A tensor of integers: its sizes and elements.
    ///
    /// # Errors
    /// A tensor that is missing or holds floats.
    pub fn integers(&self, name: &str) -> Result<(&[usize], &[i64])> {
        match self.tensors.get(name) {
            None => Err(self.missing(name)),
            Some(Stored::Integers(sizes, values)) => {
                self.used.borrow_mut().insert(name.into());
                Ok((sizes, values))
            }
            Some(Stored::Floats(_)) => Err(self.problem(format!("tensor `{name}` holds floats, not integers"))),
        }
    }

    fn missing(&self, name: &str) -> TrainerError {
        self.problem(format!("tensor `{name}` is missing"))
    }

    /// A parameter as text; `None` if there is none, or it is `none`.
    fn parameter(&self, name: &str) -> Option<String> {
        let text = match self.entry.meta.get(name) {
            Some(Value::String(text)) => text.clone(),
            Some(value) => value.to_string(),
            None => self.own.get(name)?.clone(),
        };
        (!matches!(text.to_lowercase().as_str(), "none" | "null")).then_some(text)
    }

    /// A word among the parameters.
    pub fn word(&self, name: &str) -> Option<String> {
        self.parameter(name)
    }

    /// A number among the parameters, if it is there.
    ///
    /// # Errors
    /// Something that is not a finite number.
    pub fn optional_number(&self, name: &str) -> Result<Option<f64>> {
        let Some(text) = self.parameter(name) else { return Ok(None) };
        match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(Some(number)),
            _ => Err(self.problem(format!("parameter `{name}` should be a number, it is `{text}`"))),
        }
    }

    /// A number among the parameters.
    ///
    /// # Errors
    /// As [`Self::optional_number`]; no such parameter.
    pub fn number(&self, name: &str) -> Result<f64> {
        self.optional_number(name)?.ok_or_else(|| self.problem(format!("parameter `{name}` is missing in its `meta`")))
    }

    /// A number from 0 on without a fraction among the parameters, if it is there.
    ///
    /// # Errors
    /// Something else.
    pub fn optional_count(&self, name: &str) -> Result<Option<usize>> {
        let Some(number) = self.optional_number(name)? else { return Ok(None) };
        if number < 0.0 || number.fract() != 0.0 || number > f64::from(u32::MAX) {
            return Err(self.problem(format!("parameter `{name}` should be a whole number from 0 on, it is {number}")));
        }
        Ok(Some(number as usize))
    }

    /// Yes or no among the parameters, if it is there.
    ///
    /// # Errors
    /// Something else.
    pub fn optional_flag(&self, name: &str) -> Result<Option<bool>> {
        match self.parameter(name).map(|text| text.to_lowercase()).as_deref() {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(text) => Err(self.problem(format!("parameter `{name}` should be true or false, it is `{text}`"))),
        }
    }
}

/// Whether sizes are the same, where sizes of 1 at the end do not count.
pub fn same_sizes(left: &[usize], right: &[usize]) -> bool {
    let cut = |sizes: &[usize]| sizes.iter().rposition(|&size| size != 1).map_or(0, |last| last + 1);
    left[..cut(left)] == right[..cut(right)]
}

fn stored(path: &Path, name: &str, view: &TensorView) -> Result<Stored> {
    let (sizes, data) = (view.shape(), view.data());
    let floats = |values: Vec<f64>| match values.iter().position(|value| !value.is_finite()) {
        Some(place) => Err(bad(path, format!("tensor `{name}`: element {place} is not a finite number"))),
        None => Ok(Stored::Floats(Array { sizes: sizes.to_vec(), data: values })),
    };
    let integers = |values| Ok(Stored::Integers(sizes.to_vec(), values));
    match view.dtype() {
        Dtype::F32 => floats(data.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes).into()).collect()),
        Dtype::F64 => floats(data.as_chunks().0.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect()),
        Dtype::I32 => integers(data.as_chunks().0.iter().map(|bytes| i32::from_le_bytes(*bytes).into()).collect()),
        Dtype::I64 => integers(data.as_chunks().0.iter().map(|bytes| i64::from_le_bytes(*bytes)).collect()),
        other => Err(bad(path, format!("tensor `{name}` is {other:?}; f32, f64, i32 and i64 can be read"))),
    }
}

/// Compares a tensor's type and sizes with the manifest.
fn agrees(path: &Path, name: &str, expected: &TensorEntry, view: &TensorView) -> Result<()> {
    let dtype = match view.dtype() {
        Dtype::F32 => "float32",
        Dtype::F64 => "float64",
        Dtype::I32 => "int32",
        _ => "int64",
    };
    if let Some(stated) = expected.dtype.as_deref().filter(|stated| *stated != dtype) {
        return Err(bad(path, format!("tensor `{name}` is {dtype}, the manifest says {stated}")));
    }
    if let Some(stated) = expected.shape.as_deref().filter(|stated| *stated != view.shape()) {
        return Err(bad(path, format!("tensor `{name}` has sizes {:?}, the manifest says {stated:?}", view.shape())));
    }
    Ok(())
}
