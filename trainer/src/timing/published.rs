//! What the authors of *xLSTM Scaling Laws* (arXiv 2510.02228, github.com/NX-AI/xlstm_scaling_laws) measured on an H100 in bf16,
//! with PyTorch and CUDA graphs: a few of their figures, and all where a copy of their tables is at hand.
//!
//! A copy is looked for under `$GRADUS_REFERENCE`, or `../shared/reference` beside the working folder, as `paper-runs/`. Their
//! times of an xLSTM's step are not published there. Their xLSTM of 160M and of 830M has a feed-forward width of 2048 and 4096
//! in place of 2112 and 4160: one part in a hundred fewer weights.

use std::fs;
use std::path::PathBuf;

use gradus_models::configuration::{Architecture, ModelConfiguration, presets};

/// Their figures for a model, a batch and a prompt length.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Published {
    /// Milliseconds to the first token.
    pub first_ms: Option<f64>,
    /// Milliseconds a step, the mean of 100 tokens after the prompt.
    pub step_ms: Option<f64>,
}

/// Batch and prompt length of the columns of [`SOME`].
const PLACES: [(usize, usize); 4] = [(1, 2048), (1, 16_384), (8, 2048), (32, 2048)];

const NONE: f64 = f64::NAN;
/// A preset of the size, milliseconds to the first token, and milliseconds a step.
#[rustfmt::skip] // one a line
const SOME: [(&str, [f64; 4], [f64; 4]); 12] = [
    ("xlstm-160m", [3.923, 24.43, 18.68, 71.67], [NONE; 4]),
    ("xlstm-400m", [7.963, 54.02, 43.51, 172.2], [NONE; 4]),
    ("xlstm-830m", [12.19, 88.08, 78.88, 310.8], [NONE; 4]),
    ("xlstm-1.4b", [16.87, 130.1, 120.5, 483.5], [NONE; 4]),
    ("xlstm-2.7b", [30.93, 235.8, 227.9, NONE], [NONE; 4]),
    ("xlstm-7b", [67.99, 529.8, 529.9, NONE], [NONE; 4]),
    ("llama-160m", [4.061, 37.25, 21.97, 82.95], [1.754, 8.301, 2.036, 4.391]),
    ("llama-400m", [8.718, 99.14, 60.8, 240.3], [3.382, 16.51, 4.067, 10.66]),
    ("llama-830m", [12.9, 162.9, 97.84, 397.8], [4.041, 18.29, 4.78, 12.05]),
    ("llama-1.4b", [16.96, 216.7, 140.3, 557.5], [4.483, 18.77, 5.219, 13.25]),
    ("llama-2.7b", [37.73, 455.4, 306.6, 1222.0], [6.719, 25.73, 10.7, 30.9]),
    ("llama-7b", [75.08, 777.9, 587.7, 2492.0], [9.413, 28.57, 13.61, 36.26]),
];

/// Their figures for a model of this size, if there are any.
pub fn find(model: &ModelConfiguration, batch: usize, prefill: usize) -> Option<Published> {
    let (name, first, step) = SOME.iter().find(|(name, ..)| is_of_size(model, name))?;
    if let Some(found) = of_tables(name, batch, prefill) {
        return Some(found);
    }
    let place = PLACES.iter().position(|place| *place == (batch, prefill))?;
    let known = |figure: f64| figure.is_finite().then_some(figure);
    Some(Published { first_ms: known(first[place]), step_ms: known(step[place]) })
}

/// Whether a model has the sizes of a preset.
fn is_of_size(model: &ModelConfiguration, name: &str) -> bool {
    let Ok(preset) = presets::find(name) else { return false };
    let sizes = |model: &ModelConfiguration| {
        [
            usize::from(model.architecture == Architecture::Xlstm),
            model.vocab_size,
            model.embedding_dim,
            model.num_blocks,
            model.num_heads,
            model.num_key_value_heads,
            model.qk_head_dim,
            model.v_head_dim,
            model.feed_forward_dim,
        ]
    };
    sizes(model) == sizes(&preset.model)
}

/// From a copy of their tables.
fn of_tables(name: &str, batch: usize, prefill: usize) -> Option<Published> {
    let folder = std::env::var_os("GRADUS_REFERENCE").map_or_else(|| "../shared/reference".into(), PathBuf::from);
    let (architecture, size) = name.split_once('-')?;
    let architecture = if architecture == "xlstm" { "xlstm" } else { "transformer" };
    let row = [architecture.to_owned(), size.to_uppercase(), batch.to_string(), prefill.to_string()];
    let figure = |file: &str, column: &str| {
        let text = fs::read_to_string(folder.join("paper-runs").join(file)).ok()?;
        let mut lines = text.lines();
        let column = lines.next()?.split(',').position(|other| other == column)?;
        let mut found = lines.map(|line| line.split(',').collect::<Vec<_>>());
        let cells = found.find(|cells| cells.iter().zip(&row).filter(|(cell, part)| *cell == part).count() == 4)?;
        cells.get(column)?.parse().ok()
    };
    let (first_ms, step_ms) = (figure("inference_ttft.csv", "ttft_ms"), figure("inference_step_time.csv", "step_ms"));
    (first_ms.is_some() || step_ms.is_some()).then_some(Published { first_ms, step_ms })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_found_by_size() {
        let model = |name: &str| presets::find(name).unwrap().model;
        let found = |name: &str, batch, prefill| find(&model(name), batch, prefill);
        let near = |found: Option<f64>, expected: f64| (found.unwrap() / expected - 1.0).abs() < 1e-3;
        let seven = found("llama-7b", 1, 16_384).unwrap();
        assert!(near(seven.first_ms, 777.9) && near(seven.step_ms, 28.57), "{seven:?}");
        let xlstm = found("xlstm-7b", 8, 2048).unwrap();
        assert!(near(xlstm.first_ms, 529.9) && xlstm.step_ms.is_none(), "{xlstm:?}");
        assert!(found("llama-tiny", 1, 2048).is_none());
        assert!(found("xlstm-7b", 5, 2048).is_none());
        let mut other = model("llama-160m");
        other.num_key_value_heads = 4;
        assert!(find(&other, 1, 2048).is_none());
    }

    #[test]
    fn every_row_is_a_preset() {
        for (name, ..) in SOME {
            assert!(is_of_size(&presets::find(name).unwrap().model, name), "{name}");
        }
    }
}
