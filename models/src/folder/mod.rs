//! A model in a folder: of Hugging Face layout, or of NX-AI's plain one.
//!
//! [`shards`] finds the files, [`file`] maps and reads one, [`sources`] finds each weight in them, [`convert`] puts it on a
//! device. [`save`] and [`writer`] write a folder piece by piece, [`named`] gives one as bytes.

mod convert;
mod file;
mod named;
mod save;
mod shards;
mod sources;
mod weights;
mod writer;

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use gradus_engine::{Device, Tensor};

use crate::configuration::ModelConfiguration;
use crate::hugging_face::{self, SpecialTokens};
use crate::model::Model;
use crate::{Error, Result, parameters};

pub use convert::{Stored, to_tensor};
pub use file::{File, tensors};
pub use named::{Named, files};
pub use save::{DEFAULT_SHARD_BYTES, save};
pub use shards::INDEX;
pub(crate) use weights::{Weights, halves, with_weights};
pub use writer::{Declared, Writer};

use shards::Shards;
use sources::Sources;

/// The file of a model's configuration.
pub const CONFIGURATION: &str = "config.json";
/// The file of a model's configuration in NX-AI's plain layout.
pub const PLAIN_CONFIGURATION: &str = "config.yaml";
/// What Hugging Face keeps of how to generate; its token ids count more than those of [`CONFIGURATION`].
pub const GENERATION: &str = "generation_config.json";
/// The file of a model's weights.
pub const WEIGHTS: &str = "model.safetensors";

/// The longest file of text that is read: configurations have a few hundred lines, indices a line a tensor.
const LONGEST_TEXT: u64 = 64 << 20;

/// The text of a file that should be a small one.
pub(crate) fn read_text(path: &Path) -> Result<String> {
    let file = fs::File::open(path).map_err(Error::file(path))?;
    let mut text = String::new();
    let read = file.take(LONGEST_TEXT + 1).read_to_string(&mut text).map_err(Error::file(path))?;
    if read as u64 > LONGEST_TEXT {
        return Err(Error::content(
            path,
            format!("it is longer than {} MiB; it cannot be what its name says", LONGEST_TEXT >> 20),
        ));
    }
    Ok(text)
}

/// Many problems as one message.
fn listed(mut problems: Vec<String>) -> String {
    const SHOWN: usize = 16;
    let more = problems.len().saturating_sub(SHOWN);
    problems.truncate(SHOWN);
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    problems.join("; ") + &more
}

/// Where the configuration is: `config.json`, else `config.yaml`.
fn configuration_file(folder: &Path) -> PathBuf {
    let plain = folder.join(PLAIN_CONFIGURATION);
    let usual = folder.join(CONFIGURATION);
    if !usual.is_file() && plain.is_file() { plain } else { usual }
}

/// Reads the configuration of a folder. The width of its feed-forward layers is that of the weights, if there are any.
///
/// # Errors
/// A folder without a configuration; what [`hugging_face::read`] refuses; weights that are there but malformed.
pub fn configuration(folder: &Path) -> Result<ModelConfiguration> {
    let path = configuration_file(folder);
    let text = read_text(&path)?;
    match Shards::open(folder) {
        Ok(shards) => hugging_face::read(&path, &text, Sources::new(&shards.tensors()?).feed_forward_dim()),
        Err(_) => hugging_face::read(&path, &text, None),
    }
}

/// The tokens that begin and end a text of a folder's model.
///
/// # Errors
/// Files that cannot be read, or token ids that are none.
pub fn special_tokens(folder: &Path) -> Result<SpecialTokens> {
    let path = configuration_file(folder);
    let tokens = hugging_face::special_tokens(&path, &read_text(&path)?)?;
    let generation = folder.join(GENERATION);
    if !generation.is_file() {
        return Ok(tokens);
    }
    Ok(hugging_face::special_tokens(&generation, &read_text(&generation)?)?.or(tokens))
}

/// The configuration of a folder of which the weights are open.
fn configured(folder: &Path, shards: &Shards, sources: &Sources, tensors: usize) -> Result<ModelConfiguration> {
    let path = configuration_file(folder);
    let configuration = hugging_face::read(&path, &read_text(&path)?, sources.feed_forward_dim())?;
    // Before anything is made as long as the configuration says: a block has a dozen tensors, so this one cannot be.
    if configuration.num_blocks > tensors {
        let message = format!(
            "it has {tensors} tensors, and {} says that the model has {} blocks",
            path.display(),
            configuration.num_blocks
        );
        return Err(Error::content(&shards.place, message));
    }
    Ok(configuration)
}

/// Loads the model of a folder onto a device. Weights in f16 or bf16 become f32, piece by piece.
///
/// # Errors
/// Files that are missing, truncated or malformed; tensors that are missing, too many, or of another shape or type, all by
/// name.
pub fn load(folder: &Path, device: &Device) -> Result<Model> {
    // So much may wait in host memory until the device has fetched it.
    const WAITING: usize = 256 << 20;
    weights::with_weights(folder, |configuration, stored| {
        let mut weights: Vec<Tensor> = Vec::new();
        let mut waiting = 0;
        for parameter in parameters::list(&configuration) {
            let source = stored.source(&parameter)?;
            let tensor = convert::from_rows(source.dtype, source.data, &parameter.sizes, device)?;
            waiting += tensor.spec().bytes();
            weights.push(tensor);
            if waiting > WAITING {
                device.synchronize()?;
                waiting = 0;
            }
        }
        Model::with_weights(configuration, weights)
    })
}

#[cfg(test)]
pub(crate) mod tests;
