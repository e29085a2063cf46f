//! Inference times.

use super::intervals::Intervals;
use super::{Request, Section, What, weights};
use crate::FitError;
use crate::counts::{Architecture, Inference, Shape};
use crate::laws::timing::{self, Residual, Roofline, Settings, Timing};
use crate::plot::{Mark, Plot};
use crate::table::Table;
use serde_json::json;

/// Which time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimingKind {
    /// Time to first token, column `ttft_ms`.
    FirstToken,
    /// Time of a generation step, column `step_ms`.
    Step,
}

impl TimingKind {
    /// As on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::FirstToken => "ttft",
            Self::Step => "step-time",
        }
    }
}

/// How times are fitted.
#[derive(Debug, Clone, PartialEq)]
pub struct TimingSettings {
    /// Which time.
    pub kind: TimingKind,
    /// How compute and memory combine; by default compute for a first token, memory for a step.
    pub roofline: Option<Roofline>,
    /// What is squared.
    pub residual: Residual,
    /// Fits a cost a sequence; by default for a step only.
    pub per_sequence: Option<bool>,
    /// Shapes of the models (columns as in `inference_models.csv`); without it those of the paper.
    pub models: Option<Table>,
    /// Tokens over which a step's time was averaged.
    pub generated: f64,
    /// Smallest batch used; by default 8 for a step, as in the paper.
    pub least_batch: Option<f64>,
}

impl TimingSettings {
    /// The sound defaults: logarithms, plain least squares.
    pub fn new(kind: TimingKind) -> Self {
        Self {
            kind,
            roofline: None,
            residual: Residual::Logarithm,
            per_sequence: None,
            models: None,
            generated: 100.0,
            least_batch: None,
        }
    }
}

/// Sizes timed in the paper, as its counts take them: d, blocks, d_ff of the Transformer, heads of the
/// Transformer, d_ff and heads of the xLSTM.
const SIZES: [(&str, [u64; 6]); 6] = [
    ("160M", [768, 12, 2048, 12, 2112, 6]),
    ("400M", [1024, 24, 2816, 16, 2752, 4]),
    ("830M", [1536, 24, 4096, 16, 4160, 6]),
    ("1.4B", [2048, 24, 5504, 16, 5504, 8]),
    ("2.7B", [2560, 32, 6912, 32, 6848, 10]),
    ("7B", [4096, 32, 11008, 32, 10944, 8]),
];

fn architecture(name: &str) -> Result<Architecture, FitError> {
    match name {
        "xlstm" => Ok(Architecture::Xlstm),
        "transformer" => Ok(Architecture::Transformer),
        other => Err(FitError::Data(format!("architecture `{other}` is unknown; there are xlstm and transformer"))),
    }
}

fn shape(arch: &str, model: &str, models: Option<&Table>) -> Result<Shape, FitError> {
    let architecture = architecture(arch)?;
    let Some(models) = models else {
        let Some((_, [d_model, blocks, ff_t, heads_t, ff_x, heads_x])) = SIZES.iter().find(|s| s.0 == model) else {
            let known: Vec<&str> = SIZES.iter().map(|s| s.0).collect();
            return Err(FitError::Data(format!(
                "model `{model}` is not one of {}: give its shape with --models",
                known.join(", ")
            )));
        };
        let xlstm = architecture == Architecture::Xlstm;
        let (heads, d_ff) = if xlstm { (*heads_x, *ff_x) } else { (*heads_t, *ff_t) };
        let d_value = d_model / heads;
        let d_query = if xlstm { d_value / 2 } else { d_value };
        return Ok(Shape {
            architecture,
            d_model: *d_model,
            blocks: *blocks,
            heads,
            key_value_heads: heads,
            d_query,
            d_value,
            d_ff,
            vocabulary: 50304,
            tied: false,
        });
    };
    let row = models
        .filter(&format!("arch == {arch} and model == {model}"))
        .map_err(|_| FitError::Data(format!("--models has no row for {arch} {model}")))?;
    let whole = |column: &str| row.positive(column).map(|v| v[0] as u64);
    let d_ff = if row.has("d_ff_used_in_counts") { whole("d_ff_used_in_counts")? } else { whole("d_ff")? };
    Ok(Shape {
        architecture,
        d_model: whole("d_model")?,
        blocks: whole("n_blocks")?,
        heads: whole("n_heads")?,
        key_value_heads: whole("n_heads")?,
        d_query: whole("d_qk")?,
        d_value: whole("d_hv")?,
        d_ff,
        vocabulary: if row.has("vocab") { whole("vocab")? } else { 50304 },
        tied: false,
    })
}

/// Times with their work: from columns `prefill_flops` and `prefill_bytes`, or `step_flops` and `step_bytes`, or `flops` and
/// `bytes`, or counted from the models' shapes.
pub(super) fn timings(
    table: &Table,
    request: &Request,
    settings: &TimingSettings,
    notes: &mut Vec<String>,
) -> Result<(Vec<Timing>, Vec<f64>), FitError> {
    let step = settings.kind == TimingKind::Step;
    let (prefill, batch) = (table.numbers("prefill")?, table.positive("batch")?);
    let least = settings.least_batch.unwrap_or(if step { 8.0 } else { 0.0 });
    // Published fits leave out prefill 0 and small batches of a step.
    let rows: Vec<usize> = (0..table.len())
        .filter(|&i| batch[i] >= least && (prefill[i] > 0.0 || prefill.iter().all(|p| *p <= 0.0)))
        .collect();
    if rows.len() < table.len() {
        let small = if least > 0.0 { format!(", or batch below {least} (--least-batch)") } else { String::new() };
        notes.push(format!("{} rows left out: prefill 0{small}", table.len() - rows.len()));
    }
    if rows.is_empty() {
        return Err(FitError::Data(format!("no row has a batch of {least} or more")));
    }
    let table = table.take(&rows);
    let (prefill, batch) = (table.numbers("prefill")?, table.positive("batch")?);
    let seconds = table.positive(if step { "step_ms" } else { "ttft_ms" })?;
    let weights = weights(&table, request)?;
    // A table that holds both times has the work of each under a name of its own.
    let own = if step { ["step_flops", "step_bytes"] } else { ["prefill_flops", "prefill_bytes"] };
    let counted = match [own, ["flops", "bytes"]].into_iter().find(|pair| pair.iter().all(|name| table.has(name))) {
        Some([flops, bytes]) => Some((table.positive(flops)?, table.positive(bytes)?)),
        None => None,
    };
    let (archs, models) = match &counted {
        Some(_) => (Vec::new(), Vec::new()),
        None => (table.text("arch")?, table.text("model")?),
    };
    let mut timings = Vec::with_capacity(table.len());
    for i in 0..table.len() {
        let (flops, bytes) = match &counted {
            Some((flops, bytes)) => (flops[i], bytes[i]),
            None => {
                let shape = shape(archs[i], models[i], settings.models.as_ref())?;
                let at = Inference { shape, batch: batch[i] };
                if step {
                    (at.step_flops(prefill[i]), at.step_bytes_over(prefill[i], settings.generated))
                } else {
                    (at.prefill_flops(prefill[i]), at.prefill_bytes(prefill[i]))
                }
            }
        };
        timings.push(Timing { flops, bytes, batch: batch[i], seconds: seconds[i] * 1e-3, weight: weights[i] });
    }
    Ok((timings, prefill))
}

pub(super) fn section(table: &Table, request: &Request, notes: &mut Vec<String>) -> Result<Section, FitError> {
    let What::Timing(settings) = &request.what else {
        return Err(FitError::Data("no time was asked for".into()));
    };
    let step = settings.kind == TimingKind::Step;
    let (data, prefill) = timings(table, request, settings, notes)?;
    let default = if step { Settings::step() } else { Settings::first_token() };
    let (law, intervals) = timing::fit_and(
        &data,
        Settings {
            roofline: settings.roofline.unwrap_or(default.roofline),
            per_sequence: settings.per_sequence.unwrap_or(default.per_sequence),
            residual: settings.residual,
        },
        |fit, best| Intervals::of(fit, best, request),
    )?;
    let result = &law.result;
    let mut text = format!("{} times: {}, {}\n", data.len(), law.roofline, law.residual);
    result.free.iter().for_each(|&j| text.push_str(&intervals.line(result, j)));
    text.push_str(&intervals.remarks(result));
    let free: Vec<String> = result.free.iter().map(|&j| timing::NAMES[j].to_string()).collect();
    let undetermined = result.information.describe(&free);
    for combination in &undetermined {
        text.push_str(&format!(
            "NOT DETERMINED: these times do not tell {combination} apart: moving along it changes no prediction\n"
        ));
    }
    if let Some(r_squared) = law.log_r_squared {
        text.push_str(&format!("R² of the logarithms {r_squared:.6}, "));
    }
    text.push_str(&format!(
        "median error {:.2} %; {}; rank {} of {}\n",
        100.0 * law.median_relative_error,
        result.outcome,
        result.information.rank,
        result.free.len()
    ));
    let mut plot = Plot::new("Time over prefill", ("prefill (tokens)", true), ("seconds", true));
    let mut residuals = Plot::new("Residuals", ("seconds", true), ("predicted / measured", false));
    let mut batches: Vec<f64> = data.iter().map(|t| t.batch).collect();
    batches.sort_by(f64::total_cmp);
    batches.dedup();
    for (colour, batch) in batches.iter().enumerate() {
        let of: Vec<usize> = (0..data.len()).filter(|&i| data[i].batch == *batch).collect();
        let predict = |i: usize| timing::seconds(law.roofline, &data[i], &result.parameters);
        plot.add(
            &format!("batch {batch}"),
            Mark::Dots,
            colour,
            of.iter().map(|&i| (prefill[i], data[i].seconds)).collect(),
        );
        plot.add("", Mark::Line, colour, of.iter().map(|&i| (prefill[i], predict(i))).collect());
        residuals.add(
            "",
            Mark::Dots,
            colour,
            of.iter().map(|&i| (data[i].seconds, predict(i) / data[i].seconds)).collect(),
        );
    }
    residuals.level(1.0);
    Ok(Section {
        group: Vec::new(),
        text,
        fit: json!({ "law": law, "intervals": intervals.free_json(result), "undetermined": undetermined }),
        plots: vec![plot, residuals],
    })
}
