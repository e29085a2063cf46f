//! What can be done with a model that is there: [`generate`] text, [`logits`] of tokens, [`evaluate`] on a text, [`export`]
//! into a folder for other programs. [`open`] finds its weights and its tokenizer.

pub mod evaluate;
pub mod export;
pub mod generate;
pub mod logits;
mod stop_strings;
mod token_file;

use std::io::{self, Write};
use std::path::PathBuf;

use gradus_engine::Device;
use gradus_engine::device::gpu;
use gradus_models::configuration::{Architecture, ModelConfiguration};
use gradus_models::generate::Language;
use gradus_models::tokenizer::Tokenizer;
use gradus_models::{HalfModel, Model, folder};

use crate::device_choice::DeviceChoice;
use crate::error::{Result, TrainerError};
use crate::model_source::{ModelSource, weights_folder};
use crate::verbs::time::Precision;

/// A model on a device, with the tokenizer of its folder.
pub struct Opened {
    /// Its weights.
    pub model: Model,
    /// Its tokenizer.
    pub tokenizer: Tokenizer,
    /// Why this device.
    pub why: String,
    /// The device.
    pub device: Device,
}

/// The folder of the weights that `--model` names.
///
/// # Errors
/// What has no weights.
pub fn folder_of(model: &str) -> Result<PathBuf> {
    match ModelSource::find(model)? {
        ModelSource::Folder(path) => weights_folder(&path),
        ModelSource::Preset(_) | ModelSource::File(_) => Err(TrainerError::Usage {
            message: format!("--model: {model} has no weights"),
            hint: Some("name the folder of a run that was trained, or of weights in Hugging Face layout".into()),
        }),
    }
}

/// Opens the model that `--model` names on the device that `--device` names.
///
/// # Errors
/// If the folder holds no whole model, or the device cannot be opened.
pub fn open(model: &str, device: DeviceChoice) -> Result<Opened> {
    let folder = folder_of(model)?;
    let (device, why) = device.open(gpu::Options::from_environment())?;
    let model = folder::load(&folder, &device)?;
    let tokenizer = Tokenizer::of_folder(&folder, model.configuration())?;
    Ok(Opened { model, tokenizer, why, device })
}

/// A model to generate with, its weights stored in either precision.
pub struct Speaker {
    /// Its weights.
    pub model: Box<dyn Language>,
    /// Its tokenizer.
    pub tokenizer: Tokenizer,
    /// Why this device.
    pub why: String,
    /// The device.
    pub device: Device,
}

/// [`open`] for generation, with weights in f32 or f16. The CPU computes in f32 whatever is asked for.
///
/// # Errors
/// As [`open`]; f16 on a GPU that has none.
pub fn open_to_generate(model: &str, device: DeviceChoice, precision: Precision) -> Result<Speaker> {
    let folder = folder_of(model)?;
    let (device, why) = device.open(gpu::Options::from_environment())?;
    if precision == Precision::F16 && !device.is_gpu() {
        warn("the CPU computes in f32: --precision f16 changes nothing there");
    }
    let model: Box<dyn Language> = match precision {
        Precision::F16 if device.is_gpu() => Box::new(HalfModel::load(&folder, &device)?),
        _ => Box::new(folder::load(&folder, &device)?),
    };
    let tokenizer = Tokenizer::of_folder(&folder, model.configuration())?;
    Ok(Speaker { model, tokenizer, why, device })
}

/// Checks that a text of so many tokens is within what the model was configured for. A Transformer's positions end there; an
/// xLSTM goes on, but was not trained for it, which is said.
///
/// # Errors
/// A Transformer whose positions run out.
pub(crate) fn check_length(model: &ModelConfiguration, tokens: usize, flags: &str) -> Result<()> {
    let limit = model.context_length;
    if tokens <= limit {
        return Ok(());
    }
    if model.architecture == Architecture::Transformer {
        return Err(TrainerError::Usage {
            message: format!("{tokens} tokens, and the model has positions for {limit}"),
            hint: Some(format!("use {flags}, or a model with more positions")),
        });
    }
    warn(&format!(
        "{tokens} tokens are more than the {limit} that the model was configured for; it may get worse there"
    ));
    Ok(())
}

/// Says something on standard error.
pub(crate) fn warn(text: &str) {
    // Nobody may be reading.
    let _ = writeln!(io::stderr(), "warning: {text}");
}

/// Writes to standard output; whether anyone still reads it.
pub(crate) fn print(out: &mut dyn Write, text: &str) -> Result<bool> {
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        // A reader such as `head` has what it wanted.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(TrainerError::io("write to", "standard output".as_ref())(error)),
    }
}
