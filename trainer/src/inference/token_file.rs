//! Files of token ids: JSON, a list of lists; or safetensors with `tokens` of i64 or i32, [batch, sequence].

use std::fs;
use std::path::Path;

use gradus_models::folder::File;
use safetensors::Dtype;
use serde_json::Value;

use crate::error::{Result, TrainerError};

/// The texts of a file as token ids, each below `vocabulary`.
///
/// # Errors
/// A file that cannot be read or holds something else; an id that is no token: says where.
pub fn read(path: &Path, vocabulary: usize) -> Result<Vec<Vec<u32>>> {
    let wrong = |problem: String| {
        TrainerError::Data {
        path: path.to_owned(),
        problem,
        hint: "give JSON, a list of lists of token ids, or safetensors with a tensor `tokens` [batch, sequence] of i64 or i32"
            .into(),
    }
    };
    let rows = if path.extension().is_some_and(|extension| extension == "safetensors") {
        stored(path, &wrong)?
    } else {
        listed(path, &wrong)?
    };
    let rows: Vec<Vec<u32>> = rows
        .into_iter()
        .enumerate()
        .map(|(row, ids)| {
            let id = |(at, id): (usize, i64)| match u32::try_from(id) {
                Ok(token) if (token as usize) < vocabulary => Ok(token),
                _ => Err(wrong(format!(
                    "text {row}, position {at}: {id} is no token; the model has 0 to {}",
                    vocabulary - 1
                ))),
            };
            ids.into_iter().enumerate().map(id).collect()
        })
        .collect::<Result<_>>()?;
    match rows.iter().position(Vec::is_empty) {
        _ if rows.is_empty() => Err(wrong("it holds no texts".into())),
        Some(row) => Err(wrong(format!("text {row} has no tokens"))),
        None => Ok(rows),
    }
}

fn listed(path: &Path, wrong: &dyn Fn(String) -> TrainerError) -> Result<Vec<Vec<i64>>> {
    let text = fs::read_to_string(path).map_err(TrainerError::io("read", path))?;
    let value: Value = serde_json::from_str(&text).map_err(|error| wrong(format!("it is no JSON: {error}")))?;
    let rows = value.as_array().ok_or_else(|| wrong("it is no list".into()))?;
    let row = |(row, ids): (usize, &Value)| {
        let ids = ids.as_array().ok_or_else(|| wrong(format!("text {row} is {ids}, not a list of token ids")))?;
        let id = |id: &Value| id.as_i64().ok_or_else(|| wrong(format!("text {row} has {id}, which is no token id")));
        ids.iter().map(id).collect()
    };
    rows.iter().enumerate().map(row).collect()
}

fn stored(path: &Path, wrong: &dyn Fn(String) -> TrainerError) -> Result<Vec<Vec<i64>>> {
    let file = File::open(path)?;
    let tensors = file.tensors()?;
    let Some(tokens) = tensors.get("tokens") else {
        let mut names: Vec<&str> = tensors.keys().map(String::as_str).collect();
        names.sort();
        return Err(wrong(format!("it has no tensor `tokens`; it has {}", names.join(", "))));
    };
    let &[batch, sequence] = tokens.shape() else {
        return Err(wrong(format!("`tokens` has shape {:?}; it must be [batch, sequence]", tokens.shape())));
    };
    let ids: Vec<i64> = match tokens.dtype() {
        Dtype::I64 => tokens.data().as_chunks().0.iter().map(|bytes| i64::from_le_bytes(*bytes)).collect(),
        Dtype::I32 => tokens.data().as_chunks().0.iter().map(|bytes| i32::from_le_bytes(*bytes).into()).collect(),
        other => return Err(wrong(format!("`tokens` is {other:?}; it must be I64 or I32"))),
    };
    Ok((0..batch).map(|row| ids[row * sequence..(row + 1) * sequence].to_vec()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use safetensors::tensor::TensorView;

    #[test]
    fn both_kinds_of_file_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let json = folder.path().join("a.json");
        fs::write(&json, "[[1, 2], [3]]").unwrap();
        assert_eq!(read(&json, 4).unwrap(), [vec![1, 2], vec![3]]);
        let path = folder.path().join("a.safetensors");
        for (dtype, data) in [
            (Dtype::I64, [1i64, 2, 3, 0].map(i64::to_le_bytes).concat()),
            (Dtype::I32, [1i32, 2, 3, 0].map(i32::to_le_bytes).concat()),
        ] {
            let view = TensorView::new(dtype, vec![2, 2], &data).unwrap();
            fs::write(&path, safetensors::serialize([("tokens", view)], None).unwrap()).unwrap();
            assert_eq!(read(&path, 4).unwrap(), [[1, 2], [3, 0]]);
        }
        assert!(
            read(&path, 3).unwrap_err().to_string().contains("text 1, position 0: 3 is no token; the model has 0 to 2")
        );
    }

    #[test]
    fn what_is_wrong_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        for (text, part) in [
            ("[[1, -1]]", "text 0, position 1: -1 is no token"),
            ("[[1, 4294967297]]", "4294967297 is no token"),
            ("[[1.5]]", "1.5, which is no token id"),
            ("[1]", "text 0 is 1"),
            ("[[1], []]", "text 1 has no tokens"),
            ("[]", "no texts"),
            ("{}", "no list"),
            ("[[1]", "no JSON"),
        ] {
            fs::write(&path, text).unwrap();
            let error = read(&path, 9).unwrap_err().to_string();
            assert!(error.contains(part) && error.contains("a.json"), "{error}");
        }
        let path = folder.path().join("a.safetensors");
        let data = [0u8; 16];
        for (name, dtype, shape, part) in [
            ("ids", Dtype::I64, vec![1, 2], "no tensor `tokens`; it has ids"),
            ("tokens", Dtype::F32, vec![1, 4], "`tokens` is F32"),
            ("tokens", Dtype::I64, vec![2], "`tokens` has shape [2]"),
        ] {
            let view = TensorView::new(dtype, shape, &data).unwrap();
            fs::write(&path, safetensors::serialize([(name, view)], None).unwrap()).unwrap();
            let error = read(&path, 9).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
