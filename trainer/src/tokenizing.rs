//! `gradus tokenizer train`: a byte-level BPE of the user's text.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use gradus_models::tokenizer::train_byte_level;

use crate::data::user_text;
use crate::error::{Result, TrainerError};
use crate::figures;
use crate::verbs::tokenizer::{Arguments, Train, Verb};

/// Text that the trainer gets at once, and the rest of its line: long enough that few words are cut at its borders.
const BLOCK: usize = 1 << 20;

/// Runs the verb.
///
/// # Errors
/// If the text or the output cannot be used.
pub fn run(arguments: &Arguments) -> Result<()> {
    match &arguments.verb {
        Verb::Train(arguments) => train(arguments),
    }
}

fn train(arguments: &Train) -> Result<()> {
    let mut texts = Vec::new();
    for path in &arguments.input {
        let text = user_text::whole(path)?;
        let text = std::str::from_utf8(&text).map(str::to_owned).map_err(|error| TrainerError::Data {
            path: path.clone(),
            problem: format!("it is no UTF-8 at byte {}", error.valid_up_to()),
            hint: "convert it to UTF-8 first".into(),
        })?;
        texts.push(text);
    }
    let bytes: usize = texts.iter().map(String::len).sum();
    let blocks = texts.iter().flat_map(|text| blocks(text));
    let (json, size) = train_byte_level(blocks, arguments.vocabulary as usize, &arguments.special)?;
    write(&arguments.out, &json)?;
    if (size as u64) < arguments.vocabulary {
        crate::inference::warn(&format!(
            "the text has pairs that occur twice for only {size} tokens, not for {}: give more text, or a smaller --vocabulary",
            arguments.vocabulary
        ));
    }
    let text = figures::bytes(bytes as u64);
    // Nobody may be reading.
    let _ = writeln!(io::stderr(), "{size} tokens from {text} of text in {}", arguments.out.display());
    Ok(())
}

/// Whole lines of about [`BLOCK`] bytes.
fn blocks(mut text: &str) -> Vec<&str> {
    let mut blocks = Vec::new();
    while !text.is_empty() {
        let cut = text.as_bytes().iter().skip(BLOCK).position(|byte| *byte == b'\n');
        let (block, rest) = text.split_at(cut.map_or(text.len(), |at| BLOCK + at + 1));
        blocks.push(block);
        text = rest;
    }
    blocks
}

/// Half a file never has the name.
fn write(path: &Path, text: &str) -> Result<()> {
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    let partial = Path::new(&partial);
    fs::write(partial, text).map_err(TrainerError::io("write", partial))?;
    fs::rename(partial, path).map_err(TrainerError::io("write", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_whole_lines_and_the_whole_text() {
        let text = "a line of text\n".repeat(200_000) + "the end";
        let blocks = blocks(&text);
        assert_eq!(blocks.concat(), text);
        assert!(blocks.len() == 3 && blocks[..2].iter().all(|block| block.ends_with('\n')), "{}", blocks.len());
    }
}
