//! `gradus count`: what a model is and costs, by the formulas of *xLSTM Scaling Laws* (arXiv 2510.02228).

use std::io::Write;

use gradus_fit::counts::{Architecture as Counted, Inference, Shape};
use gradus_models::configuration::{Architecture, ModelConfiguration, presets};
use gradus_models::folder;
use serde_json::{Value, json};

use crate::configuration::layers::{Flags, Layers, ModelBase};
use crate::data::tokens::BYTE_VOCABULARY;
use crate::error::Result;
use crate::figures;
use crate::inference::print;
use crate::model_source::{ModelSource, configuration_folder};
use crate::verbs::count::Arguments;

/// Tokens over which the published fits of step times average.
const PUBLISHED_STEPS: f64 = 100.0;

/// Prints the counts.
///
/// # Errors
/// If there is no such model.
pub fn run(arguments: &Arguments, out: &mut dyn Write) -> Result<()> {
    let model = configuration(&arguments.model)?;
    let counts = Counts::new(&model, arguments.context, arguments.batch);
    let text = if arguments.json { format!("{}\n", counts.json()) } else { counts.text() };
    print(out, &text).map(drop)
}

/// The configuration that `--model` names; weights are not needed.
fn configuration(model: &str) -> Result<ModelConfiguration> {
    match ModelSource::find(model)? {
        ModelSource::Preset(name) => Ok(presets::find(name)?.model),
        ModelSource::File(path) => {
            Ok(Layers::read(None, Flags::default())?.resolve(ModelBase::File(path), BYTE_VOCABULARY)?.model)
        }
        ModelSource::Folder(path) => Ok(folder::configuration(&configuration_folder(&path)?)?),
    }
}

/// The shape of a model as the formulas take it.
pub fn shape(model: &ModelConfiguration) -> Shape {
    let size = |size: usize| size as u64;
    Shape {
        architecture: match model.architecture {
            Architecture::Xlstm => Counted::Xlstm,
            Architecture::Transformer => Counted::Transformer,
        },
        d_model: size(model.embedding_dim),
        blocks: size(model.num_blocks),
        heads: size(model.num_heads),
        key_value_heads: size(model.num_key_value_heads),
        d_query: size(model.qk_head_dim),
        d_value: size(model.v_head_dim),
        d_ff: size(model.feed_forward_dim),
        vocabulary: size(model.vocab_size),
        tied: model.tie_word_embeddings,
    }
}

/// Everything that is printed.
struct Counts<'a> {
    model: &'a ModelConfiguration,
    context: u64,
    batch: u64,
    forward: f64,
    training_per_token: f64,
    prefill: (f64, f64),
    step: (f64, f64),
    step_published: f64,
    state: f64,
}

impl<'a> Counts<'a> {
    fn new(model: &'a ModelConfiguration, context: u64, batch: u64) -> Self {
        let shape = shape(model);
        let inference = Inference { shape, batch: batch as f64 };
        let length = context as f64;
        let training = shape.training_flops(context, 1.0);
        Self {
            model,
            context,
            batch,
            forward: training / 3.0,
            training_per_token: training / length,
            prefill: (inference.prefill_flops(length), inference.prefill_bytes(length)),
            step: (inference.step_flops(length), inference.step_bytes(length)),
            step_published: inference.step_bytes_over(length, PUBLISHED_STEPS),
            state: shape.state_bytes(context) * batch as f64,
        }
    }

    fn json(&self) -> Value {
        let parameters = self.model.parameters();
        json!({
            "architecture": self.model.architecture,
            "context": self.context,
            "batch": self.batch,
            "parameters": {
                "embedding": parameters.embedding,
                "mixing": parameters.mixing,
                "feed_forward": parameters.feed_forward,
                "norms": parameters.norms,
                "output_head": parameters.output_head,
                "total": parameters.total(),
            },
            "training": {
                "forward_flops_per_sequence": whole(self.forward),
                "flops_per_sequence": whole(3.0 * self.forward),
                "flops_per_token": whole(self.training_per_token),
            },
            "prefill": {
                "flops": whole(self.prefill.0),
                "bytes": whole(self.prefill.1),
                "intensity": self.prefill.0 / self.prefill.1,
            },
            "step": {
                "flops": whole(self.step.0),
                "bytes": whole(self.step.1),
                "intensity": self.step.0 / self.step.1,
                "bytes_averaged_over_100": whole(self.step_published),
            },
            "state_bytes": whole(self.state),
        })
    }

    fn text(&self) -> String {
        let parameters = self.model.parameters();
        let total = parameters.total();
        let mut text = format!("parameters          {total:>20}  ({})\n", figures::count(total as f64));
        for (name, count) in [
            ("embedding", parameters.embedding),
            ("mixing layers", parameters.mixing),
            ("feed-forward", parameters.feed_forward),
            ("norms", parameters.norms),
            ("output head", parameters.output_head),
        ] {
            text += &format!("  {name:<18}{count:>20}\n");
        }
        let (context, batch) = (self.context, self.batch);
        text += &format!("\ntraining at context {context}\n");
        text += &row("FLOPs a token", self.training_per_token, "FLOP");
        text += &row("FLOPs a forward", self.forward, "FLOP");
        for (name, (flops, bytes)) in [
            (format!("prefill of {context} tokens, batch {batch}"), self.prefill),
            (format!("one step after {context} tokens, batch {batch}"), self.step),
        ] {
            text += &format!("\n{name}\n");
            text += &row("FLOPs", flops, "FLOP");
            text += &row("bytes moved", bytes, "B");
            text += &format!("  {:<18}{:>20.2}  FLOP a byte\n", "intensity", flops / bytes);
        }
        let what = match self.model.architecture {
            Architecture::Xlstm => "state, f32, whatever the length",
            Architecture::Transformer => "key-value cache, 2 bytes a number",
        };
        text += &format!("\n{what}\n{}", row("bytes", self.state, "B"));
        text + "\nA multiply-add is 2 FLOPs; weights and activations have 2 bytes. docs/inference.md has the formulas.\n"
    }
}

fn row(name: &str, number: f64, unit: &str) -> String {
    let digits = if number.fract() == 0.0 { 0 } else { 1 };
    format!("  {name:<18}{number:>20.digits$}  ({}{unit})\n", with_gap(&figures::count(number)))
}

/// "6.87 G" wants its unit right behind it, "950" a gap before it.
fn with_gap(count: &str) -> String {
    if count.contains(' ') { count.to_owned() } else { format!("{count} ") }
}

/// A whole number without a decimal point, as far as f64 counts exactly.
fn whole(number: f64) -> Value {
    if number.fract() == 0.0 && number < 9_007_199_254_740_992.0 { json!(number as u64) } else { json!(number) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Figures of the paper's public accounting.
    #[test]
    fn published_figures_are_met() {
        let counts = |name: &str, context| {
            let model = presets::find(name).unwrap().model;
            Counts::new(&model, context, 1).json()
        };
        let xlstm = counts("xlstm-7b", 2048);
        assert_eq!(xlstm["parameters"]["total"], 6_865_424_896u64);
        assert_eq!(xlstm["prefill"]["flops"], 26_787_085_307_904u64);
        assert_eq!(xlstm["prefill"]["bytes"], 32_421_866_752u64);
        assert_eq!(xlstm["step"]["flops"], 13_520_072_192u64);
        assert_eq!(xlstm["step"]["bytes"], 13_594_668_288u64);
        let llama = counts("llama-7b", 2048);
        assert_eq!(llama["prefill"]["bytes"], 25_687_615_744u64);
        let flops = llama["prefill"]["flops"].as_f64().unwrap();
        assert!((flops / 27_869_956_590_796.8 - 1.0).abs() < 1e-12, "{flops}");
        let llama = counts("llama-7b", 16384);
        assert_eq!(llama["state_bytes"], 8_589_934_592u64);
        let published = llama["step"]["bytes_averaged_over_100"].as_f64().unwrap();
        assert!((published / 8_754_664_171.52 - 1.0).abs() < 1e-12, "{published}");
        assert_eq!(counts("xlstm-160m", 8192)["training"]["forward_flops_per_sequence"], 2_090_649_498_624u64);
    }

    #[test]
    fn the_parts_are_the_shapes_parameters() {
        for preset in presets::all().unwrap() {
            let mut model = preset.model;
            for tied in [false, true] {
                model.tie_word_embeddings = tied;
                assert_eq!(shape(&model).parameters(), model.parameters().total(), "{}", preset.name);
            }
        }
        let mut model = presets::find("llama-small").unwrap().model;
        model.num_key_value_heads = 2;
        assert_eq!(shape(&model).parameters(), model.parameters().total());
    }

    /// Biases are parameters; the paper's FLOPs and bytes know none.
    #[test]
    fn biases_are_counted_and_the_formulas_are_the_papers() {
        let mut model = presets::find("llama-tiny").unwrap().model;
        let plain = Counts::new(&model, 256, 2).json();
        (model.attention_bias, model.mlp_bias) = (true, true);
        let biased = Counts::new(&model, 256, 2).json();
        let (plain_total, total) = (plain["parameters"]["total"].as_u64(), biased["parameters"]["total"].as_u64());
        // Four blocks: 128 on each of query, key, value and the way back; 384 twice, and 128.
        assert_eq!(total, plain_total.map(|total| total + 4 * (4 * 128 + 2 * 384 + 128)));
        for part in ["training", "prefill", "step", "state_bytes"] {
            assert_eq!(biased[part], plain[part]);
        }
    }
}
