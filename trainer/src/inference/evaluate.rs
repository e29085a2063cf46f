//! `gradus eval`: how well a model predicts a text.

use std::io::{self, Write};
use std::time::Instant;

use gradus_engine::Tensor;
use gradus_models::Model;
use gradus_models::tokenizer::Tokenizer;
use serde_json::json;

use super::{Opened, check_length, open, print, warn};
use crate::data::user_text;
use crate::error::{Result, TrainerError};
use crate::verbs::eval::Arguments;

/// The longest context where none is given and the model would allow more.
const LONGEST_DEFAULT: usize = 8192;
/// Tokens that are computed at once.
const TOKENS_AT_ONCE: usize = 4096;
/// A tokenizer gets so much of a text at once, and the rest of the line.
const BLOCK: usize = 4 << 20;

/// What a model makes of a text.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Score {
    /// The sum of the losses, in nats.
    pub nats: f64,
    /// Tokens that were predicted: all but the first.
    pub tokens: usize,
    /// Bytes of text that these tokens stand for.
    pub bytes: usize,
}

impl Score {
    /// Nats a token.
    pub fn loss(&self) -> f64 {
        self.nats / self.tokens as f64
    }

    /// e to the loss.
    pub fn perplexity(&self) -> f64 {
        self.loss().exp()
    }

    /// Bits a byte of text.
    pub fn bits_per_byte(&self) -> f64 {
        self.nats / std::f64::consts::LN_2 / self.bytes as f64
    }
}

/// Prints loss, perplexity and bits per byte.
///
/// # Errors
/// If the model or the text cannot be used, or the device fails.
pub fn run(arguments: &Arguments, out: &mut dyn Write) -> Result<()> {
    let Opened { model, tokenizer, device, why } = open(&arguments.model, arguments.device)?;
    let limit = model.configuration().context_length;
    let context = match arguments.context {
        Some(context) => context as usize,
        None => limit.min(LONGEST_DEFAULT),
    };
    check_length(model.configuration(), context, "a smaller --context")?;
    let text = user_text::whole(&arguments.data)?;
    let (tokens, bytes) = tokens_of(&tokenizer, &text)?;
    if tokens.len() < 2 {
        return Err(TrainerError::Data {
            path: arguments.data.clone(),
            problem: format!("it has {} tokens; the first is not predicted, so two are needed", tokens.len()),
            hint: "give more text".into(),
        });
    }
    let started = Instant::now();
    let score = Score { nats: nats(&model, &tokens, context)?, tokens: tokens.len() - 1, bytes };
    let text = if arguments.json {
        let value = json!({
            "loss": score.loss(), "perplexity": score.perplexity(), "bits_per_byte": score.bits_per_byte(),
            "tokens": score.tokens, "bytes": score.bytes, "context": context,
        });
        format!("{value}\n")
    } else {
        format!(
            "loss {:.6} nats a token, perplexity {:.4}, {:.6} bits a byte ({} tokens, {} bytes, context {context})\n",
            score.loss(),
            score.perplexity(),
            score.bits_per_byte(),
            score.tokens,
            score.bytes
        )
    };
    print(out, &text)?;
    // Nobody may be reading.
    let _ = writeln!(io::stderr(), "{:.2} s on {} ({why})", started.elapsed().as_secs_f64(), device.name());
    Ok(())
}

/// The tokens of a text, and the bytes that all but the first stand for.
fn tokens_of(tokenizer: &Tokenizer, text: &[u8]) -> Result<(Vec<u32>, usize)> {
    if tokenizer.is_bytes() {
        let vocabulary = tokenizer.vocabulary();
        if let Some(at) = text.iter().position(|byte| usize::from(*byte) >= vocabulary) {
            return Err(TrainerError::Weights(gradus_models::Error::Request(format!(
                "the text cannot be encoded: its byte {at} is {}, and the model has only {vocabulary} tokens",
                text[at]
            ))));
        }
        return Ok((text.iter().map(|byte| u32::from(*byte)).collect(), text.len().saturating_sub(1)));
    }
    let text = match std::str::from_utf8(text) {
        Ok(text) => std::borrow::Cow::Borrowed(text),
        Err(error) => {
            warn(&format!("the text is no UTF-8 at byte {}; what is not is read as U+FFFD", error.valid_up_to()));
            String::from_utf8_lossy(text)
        }
    };
    let (mut tokens, mut bytes) = (Vec::new(), 0);
    let mut rest: &str = &text;
    while !rest.is_empty() {
        let cut = rest.as_bytes().iter().skip(BLOCK).position(|byte| *byte == b'\n');
        let (block, after) = rest.split_at(cut.map_or(rest.len(), |at| BLOCK + at + 1));
        let encoded = tokenizer.encode(block)?;
        let first = tokens.is_empty();
        // Only the first block is the beginning of a text.
        let again = !first && encoded.tokens.first().copied() == tokenizer.special().begin;
        tokens.extend(&encoded.tokens[usize::from(again && tokenizer.special().begin.is_some())..]);
        bytes += if first { encoded.bytes_after_first } else { block.len() };
        rest = after;
    }
    Ok((tokens, bytes))
}

/// The sum of the losses of all tokens but the first, in nats: in windows side by side, the last one shorter.
fn nats(model: &Model, tokens: &[u32], context: usize) -> Result<f64> {
    let weights = model.constants();
    let device = model.device();
    let loss = |first: usize, rows: usize, length: usize| -> Result<f64> {
        let count = rows * length;
        let tensor = |from: usize| Tensor::new(&device, &[rows, length], &tokens[from..from + count]);
        let loss = model.loss(&weights, &tensor(first)?, &tensor(first + 1)?)?;
        Ok(f64::from(loss.tensor().to_vec::<f32>()?[0]) * count as f64)
    };
    let predicted = tokens.len() - 1;
    let at_once = (TOKENS_AT_ONCE / context).max(1);
    let (mut sum, mut at) = (0.0, 0);
    while at < predicted {
        let rows = ((predicted - at) / context).min(at_once);
        let (rows, length) = if rows > 0 { (rows, context) } else { (1, predicted - at) };
        sum += loss(at, rows, length)?;
        at += rows * length;
    }
    Ok(sum)
}
