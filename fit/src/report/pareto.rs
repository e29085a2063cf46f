//! Frontiers of loss over compute.

use super::{Request, Section, What, with_error};
use crate::FitError;
use crate::laws::pareto::{self, Points, Space};
use crate::laws::power_law::PowerLaw;
use crate::plot::{Mark, Plot};
use crate::statistics::MIN_POINTS;
use crate::table::Table;
use serde_json::{Value, json};

pub(super) fn section(table: &Table, request: &Request, _: &mut Vec<String>) -> Result<Section, FitError> {
    let default = vec!["arch".to_string()];
    let by = if request.group.is_empty() && table.has("arch") { &default } else { &request.group };
    let mut text = String::new();
    let mut plot = Plot::new("Pareto frontier", ("training FLOPs", true), ("loss (nats/token)", true));
    // Name, runs and hull of each group.
    let mut hulls: Vec<(String, Points, Points)> = Vec::new();
    let mut law: Vec<Value> = Vec::new();
    for (colour, (group, rows)) in table.group(by)?.into_iter().enumerate() {
        let name = group.iter().map(|g| g.1.as_str()).collect::<Vec<_>>().join(" ");
        let name = if name.is_empty() { "all runs".to_string() } else { name };
        let points: Vec<(f64, f64)> =
            rows.positive("flops_train")?.into_iter().zip(rows.positive("val_loss")?).collect();
        let hull = pareto::hull(&points, Space::Linear)?;
        text.push_str(&format!("{name}: {} of {} runs on the hull\n", hull.len(), points.len()));
        for (flops, loss) in &hull {
            text.push_str(&format!("  {flops:>12.4e} FLOPs  {loss:.4}\n"));
        }
        let (flops, losses): (Vec<f64>, Vec<f64>) = hull.iter().copied().unzip();
        let through = PowerLaw::fit(&flops, &losses, None).ok();
        plot.add(&name, Mark::Dots, colour, points.clone());
        plot.add("", Mark::Line, colour, hull.clone());
        let envelope = match &request.what {
            What::Pareto(Some(bins)) => Some(envelope(&rows, &points, *bins, request.level, &mut text)?),
            _ => None,
        };
        if let Some(found) = &envelope {
            plot.add(&format!("{name}, envelope"), Mark::Rings, colour, found.1.clone());
        }
        law.push(json!({ "name": name, "hull": hull, "envelope": envelope.map(|e| e.0),
            "loss_law": through.map(|l| super::isoflop::law_json(&l, request.level)) }));
        hulls.push((name, points, hull));
    }
    let mut ratios: Vec<Value> = Vec::new();
    for (i, (name, runs, hull)) in hulls.iter().enumerate() {
        for (other, other_runs, reference) in hulls.iter().skip(i + 1) {
            text.push_str(&format!("compute for equal loss, {name} over {other}"));
            let resampled = if request.bootstrap > 0 && runs.len().min(other_runs.len()) >= MIN_POINTS {
                text.push_str(&format!(" (resampled runs, {:.0} %):\n", 100.0 * request.level));
                pareto::resampled_hulls([runs, other_runs], request.bootstrap, request.seed)?
            } else {
                text.push_str(":\n");
                Vec::new()
            };
            for k in (10..60).rev() {
                let loss = f64::from(k) / 10.0;
                let Some(ratio) = pareto::compute_ratio(hull, reference, loss) else { continue };
                let interval = pareto::ratio_interval(&resampled, loss, request.level);
                let range = interval.map_or(String::new(), |i| format!("   {:.2} to {:.2}", i.low, i.high));
                text.push_str(&format!("  loss {loss:.1}: {ratio:.2}{range}\n"));
                ratios.push(json!({ "of": name, "over": other, "loss": loss, "ratio": ratio, "bootstrap": interval }));
            }
        }
    }
    Ok(Section { group: Vec::new(), text, fit: json!({ "law": law, "ratios": ratios }), plots: vec![plot] })
}

/// The best run in each of so many bins a decade, and the power laws of size and tokens along them.
fn envelope(
    rows: &Table,
    points: &[(f64, f64)],
    bins: usize,
    level: f64,
    text: &mut String,
) -> Result<(Value, Vec<(f64, f64)>), FitError> {
    let low = points.iter().fold(f64::INFINITY, |s, p| s.min(p.0));
    let best = pareto::envelope(points, low, f64::INFINITY, bins);
    text.push_str(&format!("  lower envelope, {bins} bins a decade: {} runs\n", best.len()));
    let flops: Vec<f64> = best.iter().map(|p| p.0).collect();
    let mut laws = serde_json::Map::new();
    for (column, name) in [("n_params", "N"), ("n_tokens", "D")] {
        if !rows.has(column) {
            continue;
        }
        let values = rows.positive(column)?;
        let along: Option<Vec<f64>> =
            best.iter().map(|p| points.iter().position(|q| q == p).map(|i| values[i])).collect();
        // Two runs or more at different compute; else there is no law to give.
        let Some(law) = along.and_then(|y| PowerLaw::fit(&flops, &y, None).ok()) else { continue };
        let exponent = with_error(law.exponent, law.exponent_error);
        let (low, high) = law.exponent_interval(level);
        text.push_str(&format!(
            "  {name} = {:.4} · C^({exponent}) along the envelope   {:.0} %: {low:.4} to {high:.4}\n",
            law.coefficient,
            100.0 * level
        ));
        laws.insert(column.into(), super::isoflop::law_json(&law, level));
    }
    Ok((json!({ "bins_a_decade": bins, "points": best, "laws": laws }), best))
}
