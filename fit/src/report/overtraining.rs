//! Over-training slopes.

use super::{Request, Section};
use crate::FitError;
use crate::laws::overtraining::{self, Run};
use crate::plot::{Mark, Plot};
use crate::statistics::{Interval, distribution::student_quantile};
use crate::table::Table;
use serde_json::{Value, json};

pub(super) fn section(table: &Table, request: &Request, notes: &mut Vec<String>) -> Result<Section, FitError> {
    let labels = table.text("preset_ratio")?;
    let sizes = if table.has("size") { table.text("size")? } else { vec![""; table.len()] };
    let rows: Vec<usize> =
        (0..table.len()).filter(|&i| labels[i].parse::<f64>().is_ok() && sizes[i] != "7B-long").collect();
    if rows.len() < table.len() {
        notes.push(format!(
            "{} rows left out: no number in `preset_ratio`, or the run `7B-long`",
            table.len() - rows.len()
        ));
    }
    if rows.is_empty() {
        return Err(FitError::Data("no row has a number in `preset_ratio`".into()));
    }
    let table = table.take(&rows);
    let (ratios, flops, losses) =
        (table.numbers("preset_ratio")?, table.positive("flops_train")?, table.positive("val_loss")?);
    let weights = super::weights(&table, request)?;
    let run = |i: usize| Run { ratio: ratios[i], flops: flops[i], loss: losses[i], weight: weights[i] };
    let runs: Vec<Run> = (0..table.len()).map(run).collect();
    let (slopes, alone) = overtraining::fit(&runs)?;
    let mut text = format!("tokens/parameter  runs      eta   ± (1 s.e.)   {:.0} %\n", 100.0 * request.level);
    let mut plot = Plot::new("Over-training", ("training FLOPs", true), ("loss (nats/token)", true));
    for (colour, s) in slopes.iter().enumerate() {
        let error = if s.eta_error.is_finite() { format!("{:.5}", s.eta_error) } else { "two points".into() };
        let i = interval(s, request.level);
        let range = if i.low.is_finite() { format!("{:.5} to {:.5}", i.low, i.high) } else { "not known".into() };
        text.push_str(&format!("{:>16} {:>5}  {:.5}   {error:<10}   {range}\n", s.ratio, s.runs, s.eta));
        let group: Vec<(f64, f64)> = runs.iter().filter(|r| r.ratio == s.ratio).map(|r| (r.flops, r.loss)).collect();
        plot.add("", Mark::Line, colour, group.iter().map(|g| (g.0, s.law.at(g.0))).collect());
        plot.add(&format!("M = {}, eta {:.4}", s.ratio, s.eta), Mark::Dots, colour, group);
    }
    if !alone.is_empty() {
        text.push_str(&format!("one run only, no slope: M = {alone:?}\n"));
    }
    // Whether the slopes agree: their scatter in units of their errors.
    let known: Vec<&overtraining::Slope> =
        slopes.iter().filter(|s| s.eta_error.is_finite() && s.eta_error > 0.0).collect();
    let mut average = Value::Null;
    if known.len() > 1 {
        let total: f64 = known.iter().map(|s| s.eta_error.powi(-2)).sum();
        let mean = known.iter().map(|s| s.eta / s.eta_error.powi(2)).sum::<f64>() / total;
        let scatter: f64 = known.iter().map(|s| ((s.eta - mean) / s.eta_error).powi(2)).sum();
        let freedom = (known.len() - 1) as f64;
        // Slopes that scatter more than their errors say make their mean as much less certain.
        let error = (1.0 / total).sqrt() * (scatter / freedom).sqrt().max(1.0);
        let half = student_quantile(0.5 + 0.5 * request.level, known.len() - 1) * error;
        let (low, high) = (mean - half, mean + half);
        average = json!({ "eta": mean, "eta_error": error, "eta_interval": Interval { low, high } });
        text.push_str(&format!(
            "weighted mean eta {mean:.5}, {:.0} %: {low:.5} to {high:.5}; scatter about it {:.1} per degree of freedom ({})\n",
            100.0 * request.level,
            scatter / freedom,
            if scatter < 2.0 * freedom { "parallel within the errors" } else { "more than the errors explain" }
        ));
    }
    let law: Vec<Value> = slopes
        .iter()
        .map(|s| {
            json!({ "ratio": s.ratio, "runs": s.runs, "eta": s.eta, "eta_error": s.eta_error,
                         "eta_interval": interval(s, request.level),
                         "law": super::isoflop::law_json(&s.law, request.level) })
        })
        .collect();
    Ok(Section {
        group: Vec::new(),
        text,
        fit: json!({ "law": law, "alone": alone, "mean": average }),
        plots: vec![plot],
    })
}

/// Interval of η: minus that of the exponent.
fn interval(slope: &overtraining::Slope, level: f64) -> Interval {
    let (low, high) = slope.law.exponent_interval(level);
    Interval { low: -high, high: -low }
}
