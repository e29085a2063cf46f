//! `gradus generate`: continues a text, token by token as they come.

use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::time::Instant;

use gradus_engine::device::gpu;
use gradus_models::folder;
use gradus_models::generate::{Sampling, generate};

use crate::error::{Result, TrainerError};
use crate::figures;
use crate::model_source::{ModelSource, weights_folder};
use crate::text_stream::TextStream;
use crate::training::setup::byte_vocabulary;
use crate::verbs::generate::Arguments;

/// What an empty prompt stands for: a model needs something to go on from.
const START: u32 = b'\n' as u32;
/// A tokenizer's file beside a model's weights.
const TOKENIZER: &str = "tokenizer.json";

/// Writes the prompt and what the model makes of it to standard output, and the speed to standard error.
///
/// # Errors
/// If the folder holds no whole model, its tokens are not bytes, or the device fails.
pub fn run(arguments: &Arguments) -> Result<()> {
    let folder = match ModelSource::find(&arguments.model)? {
        ModelSource::Folder(path) => weights_folder(&path)?,
        ModelSource::Preset(_) | ModelSource::File(_) => {
            return Err(TrainerError::Usage {
                message: format!("--model: {} has no weights to generate with", arguments.model),
                hint: Some("name the folder of a run that was trained, or of weights in Hugging Face layout".into()),
            });
        }
    };
    refuse_tokenizer(&folder)?;
    let (device, why) = arguments.device.open(gpu::Options::from_environment())?;
    let model = folder::load(&folder, &device)?;
    byte_vocabulary(model.configuration())?;
    let mut prompt: Vec<u32> = arguments.prompt.bytes().map(u32::from).collect();
    if prompt.is_empty() {
        prompt.push(START);
    }
    let sampling = Sampling {
        temperature: arguments.temperature,
        top_k: arguments.top_k.map(|k| k as usize),
        top_p: arguments.top_p,
        seed: arguments.seed,
    };
    let mut out = io::stdout().lock();
    let mut text = TextStream::new(out.is_terminal());
    let mut failure = write!(out, "{}", arguments.prompt).and_then(|()| out.flush()).err();
    let started = Instant::now();
    let mut count = 0u64;
    generate(&model, &prompt, arguments.max_tokens as usize, sampling, |token| {
        count += 1;
        if failure.is_none() {
            failure = write!(out, "{}", text.push(token)).and_then(|()| out.flush()).err();
        }
        failure.is_none()
    })?;
    let seconds = started.elapsed().as_secs_f64();
    match failure.or_else(|| writeln!(out, "{}", text.finish()).err()) {
        // A reader such as `head` has what it wanted.
        Some(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
        Some(error) => return Err(TrainerError::io("write to", "standard output".as_ref())(error)),
        None => {}
    }
    let speed = figures::count(count as f64 / seconds);
    // Nobody may be reading that one.
    let _ = writeln!(io::stderr(), "{count} tokens in {seconds:.2} s, {speed} tokens/s on {} ({why})", device.name());
    Ok(())
}

/// A model with a tokenizer would be given bytes for its tokens, and write nonsense.
fn refuse_tokenizer(folder: &Path) -> Result<()> {
    if !folder.join(TOKENIZER).is_file() {
        return Ok(());
    }
    Err(TrainerError::Usage {
        message: format!(
            "{} has a {TOKENIZER}; models whose tokens are not bytes cannot generate yet",
            folder.display()
        ),
        hint: Some("name a model that was trained on bytes, as every run of gradus train is".into()),
    })
}
