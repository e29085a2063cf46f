//! The loss surface L(N, D).

use gradus_fit::laws::loss_surface::Settings;
use gradus_fit::report::What;
use serde_json::Value;

use super::ask::Ask;
use super::fitting::add;
use super::parts::{Grid, Section};
use super::published;
use super::study::Study;
use super::words::{counted, decimal, ends, group, number, range, with_range};
use crate::error::Result;

const ABOUT: &str = "L = E + (A\u{b7}N^\u{2212}\u{3b1} + B\u{b7}D^\u{2212}\u{3b2})^\u{3b3} through all runs, fitted in logarithms with \
    Huber's loss; contours of it over N and D, and what each run deviates from it. a, b, e are the logarithms of A, B, E.";

/// The section.
///
/// # Errors
/// If a column of `runs.csv` is missing or damaged.
pub fn section(study: &Study) -> Result<Section> {
    let mut section = Section::new("surface", "Loss over size and tokens", ABOUT);
    let Some(runs) = study.runs_of_laws() else {
        return Ok(section.without("There are no runs at a learning rate of choice in this folder."));
    };
    // A table that says what each run was made for has runs meant for this; the fitter takes them.
    for of in runs.groups(&["arch", "ctx"], &study.conditions_of_ratios())? {
        let ask = study.ask(Ask::new("loss-surface", What::LossSurface(Settings::default())).of(&of), false);
        add(&mut section, runs, &ask, group(&of), |section, part, report| {
            let fit = &report.sections[0].fit;
            let paper = published::SURFACES.iter().find(|row| of.iter().any(|(_, value)| value == row.0));
            part.grids = vec![parameters(fit, paper.map(|row| (&row.1, row.2)))];
            say(&part.heading, fit, section);
        })?;
    }
    Ok(section)
}

fn parameters(fit: &Value, paper: Option<(&[f64; 6], f64)>) -> Grid {
    let mut grid = Grid::new(
        "Parameters (95 % over resampled runs; the paper's: 31 and 35 over-training runs at context 8192)",
        &["", "here", "95 %", "paper"],
    );
    let names = fit["law"]["names"].as_array().into_iter().flatten().filter_map(Value::as_str);
    for (place, name) in names.enumerate() {
        grid.rows.push(vec![
            name.into(),
            decimal(number(fit, &format!("/law/parameters/{place}"))),
            range(ends(fit, &format!("/bootstrap/parameters/{place}")), decimal),
            paper.map_or("-".into(), |(theirs, _)| decimal(theirs[place])),
        ]);
    }
    let objective = number(fit, "/objective");
    grid.rows.push(vec![
        "summed Huber loss".into(),
        format!("{objective:.4e}"),
        String::new(),
        paper.map_or("-".into(), |(_, theirs)| format!("{theirs:.4e}")),
    ]);
    grid
}

fn say(heading: &str, fit: &Value, section: &mut Section) {
    let interval = ends(fit, "/bootstrap/params_exponent");
    let sentence = format!(
        "{heading}: along the frontier of L(N, D), N* grows as C to the power {} (C = 6\u{b7}N\u{b7}D)",
        with_range(number(fit, "/params_exponent"), interval, decimal)
    );
    let undetermined = fit["result"]["information"]["undetermined"].as_array().map_or(0, Vec::len);
    let (points, free) = (number(fit, "/result/points"), fit["law"]["free"].as_array().map_or(0, Vec::len));
    if undetermined > 0 {
        section.unsettled.push(format!(
            "{sentence}, but {} of its parameters cannot be told from these runs (it can be moved without changing any \
             prediction), so neither they nor this exponent mean much.",
            counted(undetermined, "combination")
        ));
    } else if points < 3.0 * free as f64 {
        section.unsettled.push(format!(
            "{sentence}, from {points} runs for {free} parameters: too few to hold this for more than a description of them."
        ));
    } else {
        section.found.push(format!("{sentence}."));
    }
}
