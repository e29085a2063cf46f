//! `state.json` of a checkpoint: where the run stood, and what the other files must be.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::sealed_json;

/// The version of the format; a reader refuses any other.
const FORMAT: u32 = 1;

/// Where a run stood when it was saved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Position {
    /// Optimizer steps done.
    pub step: u64,
    /// Optimizer steps that changed the weights: those with finite gradients.
    pub applied: u64,
    /// The loss scale of the next step; 1 for none.
    #[serde(default = "one")]
    pub loss_scale: f64,
    /// Steps applied since the loss scale changed or a step was skipped.
    #[serde(default)]
    pub in_a_row: u64,
    /// Tokens trained on.
    pub tokens: u64,
    /// Position in the sequence of windows: of the first one not yet used.
    pub window: u64,
    /// Seed from which the weights and the order of the windows follow. With `window` it is the
    /// whole state of the random numbers, which are computed from counters.
    pub seed: u64,
    /// Hash of the data, see [`crate::data::Corpus::identity`]; empty in steps that were saved without one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub data: String,
    /// Seconds of training so far.
    pub seconds: f64,
    /// The device of the last step, with its driver; empty in steps that were saved without it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub device: String,
}

fn one() -> f64 {
    1.0
}

impl Default for Position {
    /// Before the first step.
    fn default() -> Self {
        Self {
            step: 0,
            applied: 0,
            loss_scale: one(),
            in_a_row: 0,
            tokens: 0,
            window: 0,
            seed: 0,
            data: String::new(),
            seconds: 0.0,
            device: String::new(),
        }
    }
}

/// A file of the checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileRecord {
    /// Length.
    pub bytes: u64,
    /// SHA-256 in hexadecimal digits.
    pub sha256: String,
}

/// The whole of `state.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    format: u32,
    /// Where the run stood.
    pub position: Position,
    /// The other files by name.
    pub files: BTreeMap<String, FileRecord>,
}

impl State {
    /// A state in the current format.
    pub fn new(position: Position, files: BTreeMap<String, FileRecord>) -> Self {
        Self { format: FORMAT, position, files }
    }

    /// The text of the file: the fields, and a checksum over them.
    ///
    /// # Errors
    /// If a number has no form in JSON, which no state of a run holds.
    pub fn text(&self) -> Result<String, String> {
        sealed_json::text(self)
    }

    /// Reads the text and checks it against its checksum.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let state: Self = sealed_json::parse(text)?;
        if state.format != FORMAT {
            return Err(format!("has format {}, and this program reads format {FORMAT}", state.format));
        }
        match state.files.keys().find(|name| !is_plain(name)) {
            Some(name) => Err(format!("names a file `{name}` outside the checkpoint")),
            None => Ok(state),
        }
    }
}

/// Whether a name is one of a file in the folder itself.
pub(super) fn is_plain(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\', ':'])
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn state() -> State {
        let position = Position {
            step: 400,
            applied: 399,
            loss_scale: 4096.0,
            in_a_row: 12,
            tokens: 819_200,
            window: 3_200,
            seed: u64::MAX,
            data: "ab".into(),
            seconds: 12.3456789,
            device: "card, driver 1".into(),
        };
        let record = FileRecord { bytes: 12, sha256: "ab".repeat(32) };
        State::new(position, [("model.safetensors".to_string(), record)].into())
    }

    #[test]
    fn what_is_written_is_read() {
        assert_eq!(State::parse(&state().text().unwrap()).unwrap(), state());
    }

    #[test]
    fn any_time_is_read_to_the_last_bit() {
        for number in 0..20_000u32 {
            let mut state = state();
            state.position.seconds = f64::from(number).sqrt() * 1.234_567_891_234_5;
            assert_eq!(State::parse(&state.text().unwrap()).unwrap(), state);
        }
    }

    #[test]
    fn every_flipped_bit_that_changes_the_meaning_is_found() {
        let text = state().text().unwrap();
        let meaning: Value = serde_json::from_str(&text).unwrap();
        for at in 0..text.len() {
            for bit in 0..8 {
                let mut bytes = text.clone().into_bytes();
                bytes[at] ^= 1 << bit;
                let Ok(damaged) = String::from_utf8(bytes) else { continue };
                if serde_json::from_str::<Value>(&damaged).is_ok_and(|value| value == meaning) {
                    continue;
                }
                assert!(State::parse(&damaged).is_err(), "byte {at} bit {bit}");
            }
        }
        for length in 0..text.len() - 1 {
            assert!(State::parse(&text[..length]).is_err(), "cut to {length}");
        }
    }

    #[test]
    fn other_formats_and_foreign_paths_are_refused() {
        let mut other = state();
        other.format = 2;
        assert!(State::parse(&other.text().unwrap()).unwrap_err().contains("format 2"));
        for name in ["../x", "/etc/passwd", "a\\b", ".", "C:x", ""] {
            let mut foreign = state();
            let record = foreign.files["model.safetensors"].clone();
            foreign.files.insert(name.into(), record);
            assert!(State::parse(&foreign.text().unwrap()).unwrap_err().contains("outside"), "{name}");
        }
    }
}
