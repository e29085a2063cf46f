//! A model's folder written tensor by tensor, in one file or in shards.

use std::fs;
use std::path::Path;

use serde_json::{Map, json};

use super::convert::Stored;
use super::writer::{Declared, Writer};
use super::{CONFIGURATION, INDEX, WEIGHTS};
use crate::hugging_face::{self, SpecialTokens};
use crate::model::Model;
use crate::{Error, Result};

/// The largest shard that transformers writes, unless told otherwise.
pub const DEFAULT_SHARD_BYTES: u64 = 5_000_000_000;

/// Writes a model into an existing folder as Hugging Face has it: `config.json` and `model.safetensors`, or shards of at most
/// `shard_bytes` (a tensor is never split) with `model.safetensors.index.json`. One tensor at a time is in host memory.
///
/// # Errors
/// A fault of the device or the disk; values too large for the type.
pub fn save(model: &Model, tokens: &SpecialTokens, folder: &Path, stored: Stored, shard_bytes: u64) -> Result<()> {
    let declared: Vec<Declared> = model
        .parameters()
        .iter()
        .map(|parameter| Declared { name: parameter.name.clone(), sizes: parameter.sizes.clone(), stored })
        .collect();
    let mut shards: Vec<Vec<usize>> = Vec::new();
    let mut filled = u64::MAX;
    for (place, tensor) in declared.iter().enumerate() {
        match shards.last_mut() {
            Some(shard) if filled.saturating_add(tensor.bytes()) <= shard_bytes => {
                filled += tensor.bytes();
                shard.push(place);
            }
            _ => {
                filled = tensor.bytes();
                shards.push(vec![place]);
            }
        }
    }
    let mut map = Map::new();
    for (number, shard) in shards.iter().enumerate() {
        let name = match shards.len() {
            1 => WEIGHTS.to_owned(),
            count => format!("model-{:05}-of-{count:05}.safetensors", number + 1),
        };
        let mut writer =
            Writer::create(&folder.join(&name), shard.iter().map(|place| declared[*place].clone()).collect())?;
        for place in shard {
            writer.push(&model.weights[*place].to_vec::<f32>()?)?;
            map.insert(declared[*place].name.clone(), name.clone().into());
        }
        writer.finish()?;
    }
    if shards.len() > 1 {
        let total: u64 = declared.iter().map(Declared::bytes).sum();
        write(&folder.join(INDEX), &json!({"metadata": {"total_size": total}, "weight_map": map}))?;
    }
    write(&folder.join(CONFIGURATION), &hugging_face::to_json(model.configuration(), tokens, stored))
}

fn write(path: &Path, value: &serde_json::Value) -> Result<()> {
    fs::write(path, format!("{value:#}\n")).map_err(Error::file(path))
}
