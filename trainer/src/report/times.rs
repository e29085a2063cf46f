//! Inference: time to first token and time of a step, with the models fitted to them.

use gradus_fit::report::{TimingKind, TimingSettings, What};
use gradus_fit::table::GroupValues;
use serde_json::Value;

use super::ask::Ask;
use super::parts::{Grid, Part, Section};
use super::published;
use super::study::{Source, Study};
use super::words::{architecture, counted, decimal, ends, group, number, range};
use crate::error::Result;

const FIRST_TOKEN: &str = "Time to first token = FLOPs/\u{3b1} + \u{3b5}, fitted in logarithms for each model; \u{3b1} is the rate that \
    the prefill reaches, \u{3b5} what a call costs whatever its size.";
const STEP: &str = "Time of a generation step = bytes/\u{3b2} + \u{3b5} + batch\u{b7}\u{3b5}_B, fitted in logarithms for each model; \
    \u{3b2} is the rate at which memory is read.";

/// The sections of both times.
///
/// # Errors
/// If a column of a file is missing or damaged.
pub fn sections(study: &Study) -> Result<[Section; 2]> {
    let mut first = Section::new("first-token", "Time to first token", FIRST_TOKEN);
    let mut step = Section::new("step", "Time of a generation step", STEP);
    match &study.first_token {
        Some(source) => fill(&mut first, source, TimingKind::FirstToken)?,
        None => first = first.without("There is no inference.csv with a column ttft_ms in this folder."),
    }
    match &study.step {
        Some(source) => fill(&mut step, source, TimingKind::Step)?,
        None => step = step.without("There is no inference.csv with a column step_ms in this folder."),
    }
    Ok([first, step])
}

fn fill(section: &mut Section, source: &Source, kind: TimingKind) -> Result<()> {
    let is_step = kind == TimingKind::Step;
    let head: &[&str] = if is_step {
        &[
            "model",
            "\u{3b2}, byte/s",
            "95 %",
            "paper, on an H100",
            "\u{3b5}, ms",
            "\u{3b5}_B, \u{b5}s",
            "R\u{b2} of logarithms",
            "median error",
        ]
    } else {
        &[
            "model",
            "\u{3b1}, FLOP/s",
            "95 %",
            "paper, on an H100",
            "\u{3b5}, ms",
            "R\u{b2} of logarithms",
            "median error",
        ]
    };
    let mut grid = Grid::new("Fitted models", head);
    let mut parts = Vec::new();
    let (mut undetermined, mut rates) = (Vec::new(), Vec::new());
    for of in source.groups(&["arch", "model"], &[])? {
        let ask = Ask::new(kind.name(), What::Timing(TimingSettings::new(kind))).of(&of);
        let mut part = Part { heading: group(&named(&of)), command: ask.command(&source.path), ..Part::default() };
        match ask.answer(&source.table) {
            Ok(report) => {
                let fit = &report.sections[0].fit;
                grid.rows.push(row(&part.heading, &of, fit, is_step));
                if fit["undetermined"].as_array().is_some_and(|all| !all.is_empty()) {
                    undetermined.push(part.heading.clone());
                }
                part.text = report.text();
                part.document = report.json();
                part.plots = report.sections[0].plots.clone();
                let arch = of.first().map_or(String::new(), |(_, arch)| arch.clone());
                rates.push((arch, parameter(fit, speed(is_step))));
            }
            Err(error) => {
                section.unsettled.push(format!("{}, {}: no fit. {error}.", section.title, part.heading));
                part.missing = Some(format!("No fit: {error}."));
            }
        }
        parts.push(part);
    }
    if !rates.is_empty() {
        let what = if is_step { "\u{3b2}" } else { "\u{3b1}" };
        let note = format!("By the commands below, one a model; the interval of {what} is by profile likelihood.");
        section.found.extend(summary(section.title, &rates, is_step));
        section.parts.push(Part { grids: vec![grid], note, ..Part::default() });
    }
    if !undetermined.is_empty() {
        section.unsettled.push(format!(
            "{}: the times of {} do not tell the rate from the costs a call and a sequence; timing more lengths would.",
            section.title,
            undetermined.join(" and ")
        ));
    }
    section.parts.extend(parts);
    Ok(())
}

fn named(of: &GroupValues) -> GroupValues {
    of.iter().map(|(column, value)| (column.clone(), architecture(value).to_owned())).collect()
}

/// The fitter's name of the rate.
fn speed(is_step: bool) -> &'static str {
    if is_step { "beta_eff" } else { "alpha_eff" }
}

/// What the fitter says of a parameter.
fn interval<'a>(fit: &'a Value, name: &str) -> Option<&'a Value> {
    fit["intervals"].as_array()?.iter().find(|one| one["name"] == name)
}

fn parameter(fit: &Value, name: &str) -> f64 {
    interval(fit, name).map_or(f64::NAN, |one| number(one, "/value"))
}

fn rate(value: f64) -> String {
    format!("{value:.3e}")
}

fn row(heading: &str, of: &[(String, String)], fit: &Value, is_step: bool) -> Vec<String> {
    let column = |name: &str| of.iter().find(|(column, _)| column == name).map_or("", |(_, value)| value);
    let (arch, model) = (column("arch"), column("model"));
    let first = published::FIRST_TOKEN.iter().find(|row| row.0 == model);
    let paper = match (is_step, arch) {
        (false, "xlstm") => first.map(|row| row.1),
        (false, "transformer") => first.map(|row| row.2),
        (true, "transformer") => published::STEP.iter().find(|row| row.0 == model).map(|row| row.1),
        _ => None,
    };
    let name = speed(is_step);
    let mut cells = vec![
        heading.to_owned(),
        rate(parameter(fit, name)),
        range(interval(fit, name).and_then(|one| ends(one, "/profile")), rate),
        paper.map_or("-".into(), rate),
        format!("{:.3}", 1e3 * parameter(fit, "eps_s")),
    ];
    if is_step {
        cells.push(format!("{:.2}", 1e6 * parameter(fit, "eps_batch_s")));
    }
    cells.push(decimal(number(fit, "/law/log_r_squared")));
    cells.push(format!("{:.1} %", 100.0 * number(fit, "/law/median_relative_error")));
    cells
}

/// The rates of all models of an architecture.
fn summary(title: &str, rates: &[(String, f64)], is_step: bool) -> Vec<String> {
    let (symbol, unit) = if is_step { ("\u{3b2}", "byte/s") } else { ("\u{3b1}", "FLOP/s") };
    let mut archs: Vec<&String> = rates.iter().map(|(arch, _)| arch).collect();
    archs.dedup();
    let sentence = |arch: &&String| {
        let of: Vec<f64> = rates.iter().filter(|(one, _)| one == *arch).map(|(_, value)| *value).collect();
        let (low, high) = of.iter().fold((f64::INFINITY, 0f64), |(low, high), v| (low.min(*v), high.max(*v)));
        format!(
            "{title}, {}: {symbol} is {} to {} {unit} over {}.",
            architecture(arch),
            rate(low),
            rate(high),
            counted(of.len(), "model")
        )
    };
    archs.iter().map(sentence).collect()
}
