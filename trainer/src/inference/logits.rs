//! `gradus logits`: the logits of token ids, in a file: for comparing implementations.

use std::io::{self, Write};
use std::time::Instant;

use gradus_models::folder::{Declared, Stored, Writer};

use super::{Opened, check_length, open, token_file};
use crate::error::{Result, TrainerError};
use crate::verbs::logits::Arguments;

/// Writes the logits [batch, sequence, vocabulary] of the file's texts, computed in f32.
///
/// # Errors
/// If the model, the tokens or the output cannot be used, or the device fails.
pub fn run(arguments: &Arguments) -> Result<()> {
    let Opened { model, device, why, .. } = open(&arguments.model, arguments.device)?;
    let configuration = model.configuration();
    let texts = token_file::read(&arguments.tokens, configuration.vocab_size)?;
    let sequence = texts[0].len();
    if let Some(row) = texts.iter().position(|text| text.len() != sequence) {
        return Err(TrainerError::Data {
            path: arguments.tokens.clone(),
            problem: format!("text 0 has {sequence} tokens and text {row} has {}", texts[row].len()),
            hint: "logits are one tensor [batch, sequence, vocabulary]: give texts of one length, or several files"
                .into(),
        });
    }
    check_length(configuration, sequence, "shorter texts")?;
    let sizes = vec![texts.len(), sequence, configuration.vocab_size];
    let mut file = Writer::create(
        &arguments.out,
        vec![Declared { name: "logits".into(), sizes: sizes.clone(), stored: Stored::F32 }],
    )?;
    let started = Instant::now();
    for text in &texts {
        model.logits_in_blocks(text, |block| file.push(block))?;
    }
    file.finish()?;
    // Nobody may be reading.
    let _ = writeln!(
        io::stderr(),
        "logits {sizes:?} in {}, {:.2} s on {} ({why})",
        arguments.out.display(),
        started.elapsed().as_secs_f64(),
        device.name()
    );
    Ok(())
}
