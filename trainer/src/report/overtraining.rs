//! Over-training: loss over compute at each ratio of tokens to parameters.

use gradus_fit::report::What;
use serde_json::Value;

use super::ask::Ask;
use super::fitting::add;
use super::parts::{Grid, Section};
use super::published;
use super::study::Study;
use super::words::{ends, group, number, range, whole, with_range};
use crate::error::Result;

const ABOUT: &str = "At each ratio M of tokens to parameters a line ln L = \u{2212}\u{3b7}\u{b7}ln C + const through models of several \
    sizes. The claim under test is that \u{3b7} does not depend on M: parallel lines.";

/// The section.
///
/// # Errors
/// If a column of `runs.csv` is missing or damaged.
pub fn section(study: &Study) -> Result<Section> {
    let mut section = Section::new("overtraining", "Over-training", ABOUT);
    let Some(runs) = study.runs.as_ref().filter(|runs| runs.table.has("preset_ratio") && study.has_set("tokenparam"))
    else {
        return Ok(section.without(
            "There are no runs at fixed ratios of tokens to parameters (column preset_ratio of runs.csv) in this folder.",
        ));
    };
    for of in runs.groups(&["arch"], &study.conditions_of_ratios())? {
        let ask = study.ask(Ask::new("overtraining", What::Overtraining).of(&of), false);
        add(&mut section, runs, &ask, group(&of), |section, part, report| {
            let fit = &report.sections[0].fit;
            let paper = published::SLOPES.iter().find(|row| of.iter().any(|(_, value)| value == row.0));
            part.grids = vec![slopes(fit, paper.map(|row| &row.1[..]))];
            say(&part.heading, fit, section);
        })?;
    }
    Ok(section)
}

fn slope(value: f64) -> String {
    format!("{value:.5}")
}

fn slopes(fit: &Value, paper: Option<&[(f64, f64)]>) -> Grid {
    let mut grid = Grid::new("Slopes", &["tokens a parameter", "runs", "\u{3b7}", "95 %", "paper"]);
    for one in fit["law"].as_array().into_iter().flatten() {
        let ratio = number(one, "/ratio");
        let theirs = paper.and_then(|rows| rows.iter().find(|row| row.0 == ratio));
        grid.rows.push(vec![
            whole(ratio),
            one["runs"].to_string(),
            slope(number(one, "/eta")),
            range(ends(one, "/eta_interval"), slope),
            theirs.map_or("-".into(), |row| slope(row.1)),
        ]);
    }
    grid
}

fn say(heading: &str, fit: &Value, section: &mut Section) {
    let mean = (number(fit, "/mean/eta"), ends(fit, "/mean/eta_interval"));
    if mean.0.is_nan() {
        let what =
            "fewer than two ratios have three or more sizes, so whether the slope depends on the ratio stays open";
        section.unsettled.push(format!("{heading}: {what}."));
        return;
    }
    let lines = fit["law"].as_array().into_iter().flatten();
    let outside: Vec<String> = lines
        .filter_map(|one| Some((number(one, "/ratio"), ends(one, "/eta_interval")?)))
        .filter(|(_, (low, high))| mean.0 < *low || mean.0 > *high)
        .map(|(ratio, _)| whole(ratio))
        .collect();
    let agree = if outside.is_empty() {
        "the interval of every ratio holds it: parallel lines within what these runs can tell".to_owned()
    } else {
        format!("the intervals at {} tokens a parameter do not hold it", outside.join(" and "))
    };
    section.found.push(format!(
        "{heading}: the loss falls with compute at a slope \u{3b7} of {} in the weighted mean over ratios; {agree}.",
        with_range(mean.0, mean.1, slope)
    ));
}
