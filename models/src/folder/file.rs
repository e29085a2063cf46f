//! One safetensors file, memory-mapped, and what is wrong with one that cannot be read.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use memmap2::Mmap;
use safetensors::tensor::TensorView;
use safetensors::{SafeTensorError, SafeTensors};
use serde_json::Value;

use crate::{Error, Result};

/// A safetensors file, memory-mapped.
pub struct File {
    path: PathBuf,
    map: Mmap,
}

impl File {
    /// Opens a file.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn open(path: &Path) -> Result<Self> {
        let file = fs::File::open(path).map_err(Error::file(path))?;
        // SAFETY: the map is only read. A program that shortens the file meanwhile would stop this one, as with any map;
        // checkpoints are never changed after they were written.
        let map = unsafe { Mmap::map(&file) }.map_err(Error::file(path))?;
        Ok(Self { path: path.to_owned(), map })
    }

    /// Its tensors by name, checked against the file's length.
    ///
    /// # Errors
    /// A truncated or malformed file.
    pub fn tensors(&self) -> Result<HashMap<String, TensorView<'_>>> {
        tensors(&self.path, &self.map)
    }

    /// The file's path.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// The tensors of a safetensors file's bytes by name. The path is for messages.
///
/// # Errors
/// Bytes that are cut off or malformed: with the tensor's name where it is one tensor's fault.
pub fn tensors<'a>(path: &Path, bytes: &'a [u8]) -> Result<HashMap<String, TensorView<'a>>> {
    let parsed = SafeTensors::deserialize(bytes).map_err(|error| Error::content(path, explain(bytes, &error)))?;
    Ok(parsed.iter().map(|(name, view)| (name.to_owned(), view)).collect())
}

/// The longest header that the safetensors crate reads.
const LONGEST_HEADER: u64 = 100_000_000;

/// What is wrong with a file that the safetensors crate refused.
fn explain(bytes: &[u8], error: &SafeTensorError) -> String {
    let Some((length, rest)) = bytes.split_first_chunk::<8>() else {
        return format!(
            "it has {} bytes, and a safetensors file begins with 8 of its header's length: it is truncated",
            bytes.len()
        );
    };
    let length = u64::from_le_bytes(*length);
    if length > LONGEST_HEADER {
        return format!(
            "its header says that it is {length} bytes long, the limit is {LONGEST_HEADER}: it is damaged or no safetensors file"
        );
    }
    let Some((header, data)) = usize::try_from(length).ok().and_then(|length| rest.split_at_checked(length)) else {
        return format!("its header should have {length} bytes, {} are there: it is truncated", rest.len());
    };
    let problem = match serde_json::from_slice::<Value>(header) {
        Err(error) => Some(format!("its header is no JSON ({error})")),
        Ok(Value::Object(entries)) => entries
            .iter()
            .filter(|(name, _)| *name != "__metadata__")
            .find_map(|(name, entry)| {
                entry_problem(entry, data.len()).map(|problem| format!("tensor `{name}` {problem}"))
            })
            .or_else(|| layout_problem(&entries, data.len())),
        Ok(_) => Some("its header is no JSON object".into()),
    };
    format!("it is not a whole safetensors file: {}", problem.unwrap_or_else(|| error.to_string()))
}

/// Bits of an element of the types that the format knows.
fn bits(dtype: &str) -> Option<u64> {
    Some(match dtype {
        "F4" => 4,
        "F6_E2M3" | "F6_E3M2" => 6,
        "BOOL" | "U8" | "I8" | "F8_E5M2" | "F8_E4M3" | "F8_E8M0" | "F8_E4M3FNUZ" | "F8_E5M2FNUZ" => 8,
        "I16" | "U16" | "F16" | "BF16" => 16,
        "I32" | "U32" | "F32" => 32,
        "I64" | "U64" | "F64" | "C64" => 64,
        _ => return None,
    })
}

/// Begin and end of an entry's data.
fn offsets(entry: &Value) -> Option<(u64, u64)> {
    match entry.get("data_offsets")?.as_array()?.as_slice() {
        [begin, end] => Some((begin.as_u64()?, end.as_u64()?)),
        _ => None,
    }
}

/// What is wrong with one tensor's entry in the header of a file with so many bytes of data.
fn entry_problem(entry: &Value, available: usize) -> Option<String> {
    let Some(dtype) = entry.get("dtype").and_then(Value::as_str) else {
        return Some("has no `dtype`".into());
    };
    let Some(bits) = bits(dtype) else {
        return Some(format!("has the unknown type `{dtype}`"));
    };
    let shape: Option<Vec<u64>> =
        entry.get("shape").and_then(Value::as_array).and_then(|sizes| sizes.iter().map(Value::as_u64).collect());
    let Some(shape) = shape else {
        return Some("has no `shape` of whole numbers".into());
    };
    let Some((begin, end)) = offsets(entry) else {
        return Some("has no `data_offsets` of two whole numbers".into());
    };
    if begin > end {
        return Some(format!("has data_offsets [{begin}, {end}], which end before they begin"));
    }
    if end > available as u64 {
        return Some(format!(
            "has data_offsets [{begin}, {end}], and there are only {available} bytes of data: the file is truncated"
        ));
    }
    let size = shape.iter().try_fold(bits, |product, size| product.checked_mul(*size));
    match size {
        None => Some(format!("has shape {shape:?}, more elements than any memory holds")),
        Some(size) if size.div_ceil(8) != end - begin => Some(format!(
            "of type {dtype} and shape {shape:?} needs {} bytes, its data_offsets give it {}",
            size.div_ceil(8),
            end - begin
        )),
        Some(_) => None,
    }
}

/// Tensors that overlap, or bytes that belong to none. Every entry is right by itself.
fn layout_problem(entries: &serde_json::Map<String, Value>, available: usize) -> Option<String> {
    let mut parts: Vec<((u64, u64), &String)> = entries
        .iter()
        .filter(|(name, _)| *name != "__metadata__")
        .filter_map(|(name, entry)| Some((offsets(entry)?, name)))
        .collect();
    parts.sort();
    let mut reached = (0, None::<&String>);
    for ((begin, end), name) in parts {
        match reached.1 {
            Some(before) if begin < reached.0 => return Some(format!("tensors `{before}` and `{name}` overlap")),
            _ if begin > reached.0 => {
                return Some(format!("{} bytes before tensor `{name}` belong to no tensor", begin - reached.0));
            }
            _ => reached = (end, Some(name)),
        }
    }
    let left = available as u64 - reached.0;
    (left > 0).then(|| {
        format!(
            "the last {left} bytes of {available} belong to no tensor: some were added, or the header is another file's"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(header: &str, data: usize) -> Vec<u8> {
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend_from_slice(header.as_bytes());
        bytes.resize(bytes.len() + data, 0);
        bytes
    }

    #[test]
    fn each_fault_has_a_message_of_its_own() {
        let one = |dtype: &str, shape: &str, offsets: &str| {
            format!("{{\"a.weight\":{{\"dtype\":\"{dtype}\",\"shape\":{shape},\"data_offsets\":{offsets}}}}}")
        };
        let two = |first: &str, second: &str| {
            let entry = |name: &str, offsets: &str| {
                format!("\"{name}\":{{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":{offsets}}}")
            };
            format!("{{{},{}}}", entry("a", first), entry("b", second))
        };
        assert_eq!(tensors(Path::new("f"), &file(&one("F32", "[2]", "[0,8]"), 8)).unwrap()["a.weight"].shape(), [2]);
        for (bytes, part) in [
            (vec![1, 2, 3], "has 3 bytes"),
            (file(&one("F32", "[2]", "[0,8]"), 8)[..20].to_vec(), "are there: it is truncated"),
            (u64::MAX.to_le_bytes().to_vec(), "18446744073709551615 bytes long, the limit is"),
            (file("{\"a\": ", 0), "no JSON"),
            (file("[1]", 0), "no JSON object"),
            (file(&one("F32", "[2]", "[0,8]"), 7), "`a.weight` has data_offsets [0, 8], and there are only 7 bytes"),
            (file(&one("F32", "[2]", "[0,8]"), 12), "the last 4 bytes of 12 belong to no tensor"),
            (file(&one("F33", "[2]", "[0,8]"), 8), "`a.weight` has the unknown type `F33`"),
            (file(&one("F32", "[3]", "[0,8]"), 8), "`a.weight` of type F32 and shape [3] needs 12 bytes"),
            (file(&one("F32", "[-3]", "[0,8]"), 8), "`a.weight` has no `shape`"),
            (file(&one("F32", "[2]", "[8,0]"), 8), "end before they begin"),
            (file(&one("F32", "[2]", "[8]"), 8), "has no `data_offsets`"),
            (file(&one("F32", "[4294967296,4294967296,4]", "[0,8]"), 8), "more elements than any memory holds"),
            (file("{\"a\":{\"shape\":[2],\"data_offsets\":[0,8]}}", 8), "`a` has no `dtype`"),
            (file(&two("[0,8]", "[4,12]"), 12), "tensors `a` and `b` overlap"),
            (file(&two("[0,8]", "[0,8]"), 8), "tensors `a` and `b` overlap"),
            (file(&two("[0,8]", "[12,20]"), 20), "4 bytes before tensor `b` belong to no tensor"),
        ] {
            let error = tensors(Path::new("dir/f.safetensors"), &bytes).unwrap_err().to_string();
            assert!(error.starts_with("dir/f.safetensors") && error.contains(part), "{part}: {error}");
        }
    }
}
