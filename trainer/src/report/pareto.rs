//! Frontiers of loss over compute, and how much more compute one architecture needs for the same loss.

use gradus_fit::plot::Plot;
use gradus_fit::report::What;
use serde_json::Value;

use super::ask::Ask;
use super::fitting::add;
use super::parts::{Grid, Section};
use super::published;
use super::study::Study;
use super::words::{architecture, between, ends, group, number, range};
use crate::error::Result;

const ABOUT: &str = "The lower-left hull of loss over compute of all runs, and the compute that one architecture needs over that \
    of the other for an equal loss, along the hulls.";

/// The section.
///
/// # Errors
/// If a column of `runs.csv` is missing or damaged.
pub fn section(study: &Study) -> Result<Section> {
    let mut section = Section::new("pareto", "Loss over compute, both architectures", ABOUT);
    let Some(runs) = study.runs_of_laws() else {
        return Ok(section.without("There are no runs at a learning rate of choice in this folder."));
    };
    // Only losses of one context are comparable.
    for of in runs.groups(&["ctx"], &study.conditions_of_ratios())? {
        let ask = study.ask(Ask::new("pareto", What::Pareto(None)).of(&of), false);
        add(&mut section, runs, &ask, group(&of), |section, part, report| {
            let fit = &report.sections[0].fit;
            let ratios = fit["ratios"].as_array().cloned().unwrap_or_default();
            part.plots.iter_mut().for_each(rename);
            part.grids = vec![table(&ratios), paper()];
            say(&part.heading, fit, &ratios, section);
        })?;
    }
    Ok(section)
}

fn times(ratio: f64) -> String {
    format!("{ratio:.2}")
}

/// The paper's ratios, at its own losses: those of other text in other tokens are other losses.
fn paper() -> Grid {
    let mut grid = Grid::new(
        "The paper\u{2019}s, at its own losses (of its text and tokens) and context 8192",
        &["loss", "compute of", "over", "ratio"],
    );
    let row = |(loss, ratio): &(f64, f64)| {
        vec![format!("{loss:.1}"), architecture("transformer").into(), architecture("xlstm").into(), times(*ratio)]
    };
    grid.rows = published::COMPUTE_RATIOS.iter().map(row).collect();
    grid
}

fn table(ratios: &[Value]) -> Grid {
    let mut grid = Grid::new(
        "Compute for equal loss (95 % over resampled runs)",
        &["loss", "compute of", "over", "ratio", "95 %"],
    );
    for ratio in ratios {
        grid.rows.push(vec![
            format!("{:.1}", number(ratio, "/loss")),
            architecture(ratio["of"].as_str().unwrap_or("")).into(),
            architecture(ratio["over"].as_str().unwrap_or("")).into(),
            times(number(ratio, "/ratio")),
            range(ends(ratio, "/bootstrap"), times),
        ]);
    }
    grid
}

fn say(heading: &str, fit: &Value, ratios: &[Value], section: &mut Section) {
    let groups = fit["law"].as_array().map_or(0, Vec::len);
    if groups < 2 {
        section.unsettled.push(format!("{heading}: there is one architecture only, so there is nothing to compare."));
        return;
    }
    let Some(first) = ratios.first() else {
        section.unsettled.push(format!(
            "{heading}: the frontiers share no loss that is a multiple of 0.1 nats, so compute at equal loss is not compared."
        ));
        return;
    };
    let sentence = |of: &[&Value]| {
        let values = |field: &'static str| of.iter().map(move |ratio| number(ratio, field));
        format!(
            "{heading}: for losses of {}, {} needs {} times the compute of {}",
            between(values("/loss"), |loss| format!("{loss:.1}")),
            architecture(first["of"].as_str().unwrap_or("")),
            between(values("/ratio"), times),
            architecture(first["over"].as_str().unwrap_or("")),
        )
    };
    let apart = |ratio: &&Value| ends(ratio, "/bootstrap").is_some_and(|(low, high)| low > 1.0 || high < 1.0);
    let (settled, open): (Vec<&Value>, Vec<&Value>) = ratios.iter().partition(apart);
    if !settled.is_empty() {
        section.found.push(format!("{}; every interval leaves out 1.", sentence(&settled)));
    }
    if !open.is_empty() {
        section.unsettled.push(format!("{}, and the intervals hold 1 or are not known.", sentence(&open)));
    }
}

/// Architectures by the names that people use.
fn rename(plot: &mut Plot) {
    plot.series.iter_mut().for_each(|series| series.name = architecture(&series.name).to_owned());
}
