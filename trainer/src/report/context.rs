//! Dependence of the optimum on the context length.

use gradus_fit::report::What;
use serde_json::Value;

use super::ask::Ask;
use super::fitting::add;
use super::parts::{Grid, Section};
use super::published;
use super::study::Study;
use super::words::{ends, flops, group, number, range, whole};
use crate::error::Result;

const ABOUT: &str = "N*, D* and the loss at the optimum at several context lengths and equal budgets. Losses at different \
    contexts are of differently packed text.";

/// The section.
///
/// # Errors
/// If a column of `runs.csv` is missing or damaged.
pub fn section(study: &Study) -> Result<Section> {
    let mut section = Section::new("context", "Context length", ABOUT);
    let Some(runs) = study.runs.as_ref().filter(|_| study.has_set("isoflop")) else {
        return Ok(section.without("There are no runs at equal budgets in this folder."));
    };
    let mut conditions = study.conditions();
    if runs.table.has("experiment_set") {
        conditions.push("experiment_set == isoflop".into());
    }
    if runs.groups(&["ctx"], &conditions)?.len() < 2 {
        return Ok(
            section.without("All runs have one context length; a plan with several `contexts` makes this study.")
        );
    }
    for of in runs.groups(&["arch"], &conditions)? {
        let ask = study.ask(Ask::new("context", What::Context).of(&of), true);
        add(&mut section, runs, &ask, group(&of), |section, part, report| {
            let fit = &report.sections[0].fit;
            part.grids = vec![changes(fit, &of)];
            say(&part.heading, fit, section);
        })?;
    }
    Ok(section)
}

fn percent(ratio: f64) -> String {
    if ratio > 11.0 {
        return "more than tenfold".into();
    }
    format!("{:+.1} %", 100.0 * (ratio - 1.0))
}

fn nats(difference: f64) -> String {
    format!("{difference:+.4}")
}

fn changes(fit: &Value, of: &[(String, String)]) -> Grid {
    let mut grid = Grid::new(
        "Changes at equal budgets (95 % by the noise of the runs)",
        &["budget", "from", "to", "N*", "95 %", "loss there", "95 %", "paper, 2048 to 8192 at 3e19 FLOPs"],
    );
    for change in fit["law"]["changes"].as_array().into_iter().flatten() {
        let (from, to) = (number(change, "/contexts/0"), number(change, "/contexts/1"));
        let budget = number(change, "/budget");
        let paper = published::CONTEXT.iter().find(|row| of.iter().any(|(_, value)| value == row.0));
        grid.rows.push(vec![
            flops(budget),
            whole(from),
            whole(to),
            percent(number(change, "/params_ratio")),
            range(ends(change, "/params_ratio_interval"), percent),
            nats(number(change, "/loss_difference")),
            range(ends(change, "/loss_difference_interval"), nats),
            paper.map_or("-".into(), |row| format!("N* {}, loss {}", percent(row.1), nats(row.2))),
        ]);
    }
    grid
}

/// The widest change of context at the largest budget.
fn say(heading: &str, fit: &Value, section: &mut Section) {
    let changes = fit["law"]["changes"].as_array().into_iter().flatten();
    let key =
        |change: &&Value| (number(change, "/budget"), number(change, "/contexts/1") / number(change, "/contexts/0"));
    let Some(change) = changes.max_by(|a, b| key(a).partial_cmp(&key(b)).unwrap_or(std::cmp::Ordering::Equal)) else {
        section.unsettled.push(format!("{heading}: no budget is shared by two context lengths."));
        return;
    };
    let size = ends(change, "/params_ratio_interval");
    let sentence = format!(
        "{}: at {} FLOPs from context {} to {} the optimal size changes by {} (95 %: {}), the loss there by {} (95 %: {})",
        heading,
        flops(number(change, "/budget")),
        whole(number(change, "/contexts/0")),
        whole(number(change, "/contexts/1")),
        percent(number(change, "/params_ratio")),
        range(size, percent),
        nats(number(change, "/loss_difference")),
        range(ends(change, "/loss_difference_interval"), nats),
    );
    match size {
        Some((low, high)) if low > 1.0 || high < 1.0 => section.found.push(format!("{sentence}.")),
        _ => section.unsettled.push(format!("{sentence}: whether the optimal size changes at all is not settled.")),
    }
}
