//! `gradus export`: a model's folder for other programs.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use gradus_engine::Device;
use gradus_models::configuration::Architecture;
use gradus_models::folder;
use gradus_models::tokenizer::TOKENIZER;

use super::{folder_of, warn};
use crate::error::{Result, TrainerError};
use crate::figures;
use crate::verbs::export::Arguments;

/// Files that are taken along as they are.
const BESIDE: [&str; 5] =
    [TOKENIZER, "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja", folder::GENERATION];

/// Writes the folder: under another name at first, so that half of one is never taken for a model.
///
/// # Errors
/// If there is no model, something is there already, or the disk is full.
pub fn run(arguments: &Arguments) -> Result<()> {
    let from = folder_of(&arguments.model)?;
    let out = &arguments.out;
    if fs::read_dir(out).is_ok_and(|mut entries| entries.next().is_some()) || out.is_file() {
        return Err(TrainerError::Usage {
            message: format!("--out: {} is there already", out.display()),
            hint: Some("name a folder that does not exist yet".into()),
        });
    }
    let model = folder::load(&from, &Device::cpu())?;
    let tokens = folder::special_tokens(&from)?;
    let configuration = model.configuration();
    if configuration.architecture == Architecture::Transformer && configuration.output_logit_soft_cap.is_some() {
        warn("this Transformer has a soft cap of its logits, which transformers does not know and leaves out");
    }
    if configuration.architecture == Architecture::Xlstm && configuration.tie_word_embeddings {
        warn("this xLSTM's head is its embedding, which transformers does not know: it will start the head anew");
    }
    let mut partial = out.as_os_str().to_owned();
    partial.push(".partial");
    let partial = Path::new(&partial);
    let failed = |action| TrainerError::io(action, partial);
    if partial.exists() {
        fs::remove_dir_all(partial).map_err(failed("remove"))?;
    }
    fs::create_dir_all(partial).map_err(failed("create"))?;
    folder::save(&model, &tokens, partial, arguments.dtype.into(), arguments.shard_bytes)?;
    for name in BESIDE {
        let file = from.join(name);
        if file.is_file() {
            fs::copy(&file, partial.join(name)).map_err(TrainerError::io("copy", &file))?;
        }
    }
    if out.is_dir() {
        // Empty, as was seen above.
        fs::remove_dir(out).map_err(TrainerError::io("replace", out))?;
    }
    fs::rename(partial, out).map_err(TrainerError::io("rename to", out))?;
    let parameters = figures::count(model.configuration().parameters().total() as f64);
    // Nobody may be reading.
    let _ = writeln!(io::stderr(), "{parameters} parameters in {}", out.display());
    Ok(())
}
