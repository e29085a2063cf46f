//! FLOP/s over arithmetic intensity of prefills and generation steps, under the highest rates that any of them reached.

use super::timing::{TimingKind, TimingSettings, timings};
use super::{Request, Section, What};
use crate::FitError;
use crate::laws::timing::Timing;
use crate::plot::{Mark, Plot};
use crate::table::Table;
use serde_json::{Value, json};

/// The kinds of call, with the column of their times.
const KINDS: [(TimingKind, &str, &str); 2] =
    [(TimingKind::FirstToken, "ttft_ms", "prefill"), (TimingKind::Step, "step_ms", "step")];

/// Calls of one kind and group.
struct Calls {
    name: String,
    colour: usize,
    kind: TimingKind,
    timings: Vec<Timing>,
}

impl Calls {
    fn flop_rates(&self) -> impl Iterator<Item = f64> {
        self.timings.iter().map(|timing| timing.flops / timing.seconds)
    }

    fn byte_rates(&self) -> impl Iterator<Item = f64> {
        self.timings.iter().map(|timing| timing.bytes / timing.seconds)
    }

    /// FLOP/s over FLOPs a byte.
    fn points(&self) -> Vec<(f64, f64)> {
        self.timings.iter().zip(self.flop_rates()).map(|(timing, rate)| (timing.flops / timing.bytes, rate)).collect()
    }
}

pub(super) fn section(table: &Table, request: &Request, notes: &mut Vec<String>) -> Result<Section, FitError> {
    let What::Roofline(settings) = &request.what else {
        return Err(FitError::Data("no roofline was asked for".into()));
    };
    let own = ["prefill_flops", "prefill_bytes", "step_flops", "step_bytes"];
    if KINDS.iter().all(|(_, column, _)| table.has(column))
        && table.has("flops")
        && !own.iter().all(|name| table.has(name))
    {
        let hint = format!("give each its own in columns {}", own.join(", "));
        return Err(FitError::Data(format!("`flops` cannot be the work of prefills and of steps alike: {hint}")));
    }
    let default = vec!["arch".to_string()];
    let by = if request.group.is_empty() && table.has("arch") { &default } else { &request.group };
    let mut calls: Vec<Calls> = Vec::new();
    for (colour, (group, rows)) in table.group(by)?.into_iter().enumerate() {
        let name = group.iter().map(|(_, value)| value.as_str()).collect::<Vec<_>>().join(" ");
        for (kind, _, word) in KINDS.into_iter().filter(|(_, column, _)| rows.has(column)) {
            let settings = TimingSettings { kind, least_batch: Some(0.0), ..settings.clone() };
            let (timings, _) = timings(&rows, request, &settings, notes)?;
            calls.push(Calls { name: format!("{name} {word}").trim().to_owned(), colour, kind, timings });
        }
    }
    let best = |rates: fn(&Calls) -> Vec<f64>| calls.iter().flat_map(rates).fold(0.0, f64::max);
    let flop_rate = best(|calls| calls.flop_rates().collect());
    let byte_rate = best(|calls| calls.byte_rates().collect());
    if calls.is_empty() {
        return Err(FitError::Data("the table has neither a column `ttft_ms` nor `step_ms`".into()));
    }
    let ridge = flop_rate / byte_rate;
    let roof = |intensity: f64| flop_rate.min(byte_rate * intensity);
    let mut text = format!(
        "highest rates of any call: {flop_rate:.3e} FLOP/s, {byte_rate:.3e} byte/s; they meet at {ridge:.1} FLOPs a byte\n"
    );
    let mut plot = Plot::new("Roofline", ("FLOPs a byte", true), ("FLOP/s", true));
    let mut law: Vec<Value> = Vec::new();
    let (mut low, mut high) = (ridge, ridge);
    for one in &calls {
        let points = one.points();
        let ends = |values: &mut dyn Iterator<Item = f64>| {
            values.fold((f64::INFINITY, 0.0f64), |(low, high), value| (low.min(value), high.max(value)))
        };
        let intensity = ends(&mut points.iter().map(|point| point.0));
        let share = ends(&mut points.iter().map(|point| point.1 / roof(point.0)));
        (low, high) = (low.min(intensity.0), high.max(intensity.1));
        text.push_str(&format!(
            "{}: {} calls of {:.1} to {:.1} FLOPs a byte reach {:.0} to {:.0} % of what these rates allow\n",
            one.name,
            points.len(),
            intensity.0,
            intensity.1,
            100.0 * share.0,
            100.0 * share.1
        ));
        let range = |(low, high): (f64, f64)| json!({ "low": low, "high": high });
        law.push(json!({ "name": one.name, "points": points, "intensity": range(intensity), "share": range(share) }));
        let mark = if one.kind == TimingKind::Step { Mark::Rings } else { Mark::Dots };
        plot.add(&one.name, mark, one.colour, points);
    }
    let line = [low, ridge, high].map(|intensity| (intensity, roof(intensity)));
    plot.add("highest rates", Mark::Line, calls.len(), line.to_vec());
    let fit = json!({ "law": law, "flop_rate": flop_rate, "byte_rate": byte_rate, "ridge": ridge });
    Ok(Section { group: Vec::new(), text, fit, plots: vec![plot] })
}
