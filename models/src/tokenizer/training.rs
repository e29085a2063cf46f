//! A byte-level BPE trained on texts.

use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{AddedToken, TokenizerBuilder};

use super::BYTES;
use crate::{Error, Result};

/// Trains a byte-level BPE: every text can be encoded, and decoding gives the same text again. Returns the content of a
/// `tokenizer.json` and its number of tokens, which is smaller than `vocabulary` where the text has not that many pairs that
/// occur twice. `special` tokens get the first ids.
///
/// # Errors
/// A vocabulary too small for the bytes and the special tokens; no text.
pub fn train_byte_level<'a>(
    texts: impl Iterator<Item = &'a str> + Send,
    vocabulary: usize,
    special: &[String],
) -> Result<(String, usize)> {
    let least = BYTES + special.len();
    if vocabulary < least {
        let message =
            format!("a byte-level vocabulary has at least {least} tokens: {BYTES} bytes and the special ones");
        return Err(Error::Request(message));
    }
    let failed = |error: tokenizers::Error| Error::Request(format!("the tokenizer cannot be trained: {error}"));
    let level = ByteLevel::new(false, false, true);
    let mut tokenizer = TokenizerBuilder::<BPE, tokenizers::NormalizerWrapper, ByteLevel, ByteLevel, ByteLevel>::new()
        .with_model(BPE::default())
        .with_pre_tokenizer(Some(level))
        .with_post_processor(Some(level))
        .with_decoder(Some(level))
        .build()
        .map_err(failed)?;
    let mut trainer = BpeTrainer::builder()
        .vocab_size(vocabulary)
        .min_frequency(2)
        .show_progress(false)
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
        .special_tokens(special.iter().map(|token| AddedToken::from(token.as_str(), true)).collect())
        .build();
    tokenizer.train(&mut trainer, texts).map_err(failed)?;
    Ok((tokenizer.to_string(true).map_err(failed)? + "\n", tokenizer.get_vocab_size(true)))
}
