//! Inference: time to first token and time of a step, with the models fitted to them.

use gradus_fit::report::{TimingKind, TimingSettings, What};
use serde_json::Value;

use super::ask::Ask;
use super::fitting::add;
use super::parts::{Grid, Part, Section};
use super::published;
use super::study::{Source, Study};
use super::words::{architecture, between, counted, decimal, ends, group, number, range, whole};
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
        Some(source) => {
            models(&mut first, source, TimingKind::FirstToken)?;
            crossings(&mut first, source, "ttft_ms")?;
        }
        None => first = first.without("There is no inference.csv with a column ttft_ms in this folder."),
    }
    match &study.step {
        Some(source) => {
            models(&mut step, source, TimingKind::Step)?;
            growth(&mut step, source)?;
            crossings(&mut step, source, "step_ms")?;
        }
        None => step = step.without("There is no inference.csv with a column step_ms in this folder."),
    }
    Ok([first, step])
}

/// The architecture and the size of a group.
fn names(of: &[(String, String)]) -> (&str, &str) {
    let value = |name: &str| of.iter().find(|(column, _)| column == name).map_or("", |(_, value)| value);
    (value("arch"), value("model"))
}

/// A fit a model, after a table of all of them.
fn models(section: &mut Section, source: &Source, kind: TimingKind) -> Result<()> {
    let is_step = kind == TimingKind::Step;
    let rate_head = if is_step { "\u{3b2}, byte/s" } else { "\u{3b1}, FLOP/s" };
    let sequence: &[&str] = if is_step { &["\u{3b5}_B, \u{b5}s"] } else { &[] };
    let head: Vec<&str> = ["model", rate_head, "95 %", "paper, on an H100", "\u{3b5}, ms"]
        .iter()
        .chain(sequence)
        .chain(&["R\u{b2} of logarithms", "median error"])
        .copied()
        .collect();
    let mut grid = Grid::new("Fitted models", &head);
    let place = section.parts.len();
    let (mut undetermined, mut rates) = (Vec::new(), Vec::new());
    for of in source.groups(&["arch", "model"], &[])? {
        let ask = Ask::new(kind.name(), What::Timing(TimingSettings::new(kind))).of(&of);
        let (arch, _) = names(&of);
        let heading = group(&of);
        add(section, source, &ask, heading, |_, part, report| {
            let fit = &report.sections[0].fit;
            grid.rows.push(row(&part.heading, &of, fit, is_step));
            if fit["undetermined"].as_array().is_some_and(Vec::is_empty) {
                rates.push((arch.to_owned(), parameter(fit, rate_name(is_step))));
            } else {
                undetermined.push(part.heading.clone());
            }
        })?;
    }
    section.found.extend(summary(section.title, &rates, is_step));
    if !undetermined.is_empty() {
        section.unsettled.push(format!(
            "{}, {}: the times do not tell the rate from the costs a call and a sequence, so none of the three means anything \
             alone; a step that reads as much whatever the prefill cannot.",
            section.title,
            undetermined.join(" and ")
        ));
    }
    if !grid.rows.is_empty() {
        let note = "By the commands below, one a model; the intervals are by profile likelihood.".into();
        section.parts.insert(place, Part { grids: vec![grid], note, ..Part::default() });
    }
    Ok(())
}

/// The fitter's name of the rate.
fn rate_name(is_step: bool) -> &'static str {
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
    let (arch, model) = names(of);
    let first = published::FIRST_TOKEN.iter().find(|row| row.0 == model);
    let paper = match (is_step, arch) {
        (false, "xlstm") => first.map(|row| row.1),
        (false, "transformer") => first.map(|row| row.2),
        (true, "transformer") => published::STEP.iter().find(|row| row.0 == model).map(|row| row.1),
        _ => None,
    };
    let name = rate_name(is_step);
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
    let sentence = |arch: &String| {
        let of: Vec<f64> = rates.iter().filter(|(one, _)| one == arch).map(|(_, value)| *value).collect();
        let (values, models) = (between(of.iter().copied(), rate), counted(of.len(), "model"));
        format!("{title}, {}: {symbol} is {values} {unit} over {models}.", architecture(arch))
    };
    archs.into_iter().map(sentence).collect()
}

/// How a step's time grows with the prefill, at the smallest batch: the exponent of a power law.
fn growth(section: &mut Section, source: &Source) -> Result<()> {
    let least = least_batch(source)?;
    let mut ask = Ask::new("power-law", What::PowerLaw { x: "prefill".into(), y: "step_ms".into(), offset: false });
    ask.flags = " --x prefill --y step_ms".into();
    ask.group = vec!["arch".into(), "model".into()];
    ask.conditions = vec![format!("batch == {least}"), "prefill > 0".into()];
    let heading = format!("Growth with the prefill, batch {}", whole(least));
    add(section, source, &ask, heading, |section, part, report| {
        let mut grid = Grid::new("Step time as a power of the prefill", &["model", "exponent", "95 %"]);
        let mut archs: Vec<(&str, Vec<f64>)> = Vec::new();
        for one in &report.sections {
            let exponent = number(&one.fit, "/law/exponent");
            let interval = ends(&one.fit, "/law/exponent_interval");
            grid.rows.push(vec![group(&one.group), decimal(exponent), range(interval, decimal)]);
            let (arch, _) = names(&one.group);
            match archs.iter_mut().find(|(name, _)| *name == arch) {
                Some((_, all)) => all.push(exponent),
                None => archs.push((arch, vec![exponent])),
            }
        }
        for (arch, exponents) in archs {
            section.found.push(format!(
                "At batch {} the time of a step of {} grows as the prefill to the power {} over {}; 0 would be flat.",
                whole(least),
                architecture(arch),
                between(exponents.iter().copied(), decimal),
                counted(exponents.len(), "model")
            ));
        }
        part.plots.clear();
        part.grids = vec![grid];
    })
}

/// The prefill from which on one architecture is faster, for models of one name at one batch; in words at the smallest batch.
fn crossings(section: &mut Section, source: &Source, y: &'static str) -> Result<()> {
    if source.groups(&["arch"], &[])?.len() < 2 {
        return Ok(());
    }
    let least = least_batch(source)?;
    let crossing = What::Crossing { x: "prefill".into(), y: y.into(), by: "arch".into() };
    let mut ask = Ask::new("crossing", crossing);
    ask.flags = format!(" --y {y}");
    ask.group = vec!["model".into(), "batch".into()];
    ask.conditions = vec!["prefill > 0".into()];
    add(section, source, &ask, "Which is faster".into(), |section, part, report| {
        let mut grid = Grid::new(
            "Where the times of both architectures cross",
            &[
                "models",
                "prefills of both",
                "they cross at",
                "then faster",
                "one over the other, least and longest prefill",
            ],
        );
        let mut said = Vec::new();
        for one in &report.sections {
            let at_least = one.group.iter().any(|(name, value)| name == "batch" && value.parse() == Ok(least));
            for pair in one.fit["law"].as_array().into_iter().flatten() {
                let row = crossing_row(&group(&one.group), pair);
                said.extend(row.as_ref().filter(|_| at_least).map(crossing_words));
                grid.rows.extend(row.map(Vec::from));
            }
        }
        if !said.is_empty() {
            section.found.push(format!("{}: {}.", section.title, said.join("; ")));
        }
        part.plots.clear();
        part.grids = vec![grid];
    })
}

fn least_batch(source: &Source) -> Result<f64> {
    Ok(source.table.positive("batch")?.into_iter().fold(f64::INFINITY, f64::min))
}

fn crossing_row(of: &str, pair: &Value) -> Option<[String; 5]> {
    let ratios: Vec<(f64, f64)> =
        pair["ratios"].as_array()?.iter().filter_map(|point| Some((point[0].as_f64()?, point[1].as_f64()?))).collect();
    let (first, last) = (ratios.first()?, ratios.last()?);
    let names = [&pair["of"], &pair["over"]].map(|name| architecture(name.as_str().unwrap_or("")));
    // Where the last times are equal, those before them say who was ahead.
    let ahead = ratios.iter().rev().find(|(_, ratio)| *ratio != 1.0).map(|(_, ratio)| names[usize::from(*ratio > 1.0)]);
    let at: Vec<String> = pair["at"].as_array()?.iter().filter_map(Value::as_f64).map(|at| whole(at.round())).collect();
    Some([
        of.to_owned(),
        format!("{} to {}", whole(first.0), whole(last.0)),
        if at.is_empty() { "nowhere".into() } else { at.join(", ") },
        ahead.unwrap_or("neither").to_owned(),
        format!("{}: {:.2} to {:.2}", names.join(" over "), first.1, last.1),
    ])
}

fn crossing_words(row: &[String; 5]) -> String {
    match row[2].as_str() {
        "nowhere" => format!("{} is faster at every prefill timed ({})", row[3], row[0]),
        at => format!("{} is faster from a prefill of {at} on ({})", row[3], row[0]),
    }
}
