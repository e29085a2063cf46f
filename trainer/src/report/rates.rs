//! Learning rates: the loss over them, and where it is lowest.

use gradus_fit::plot::Plot;
use gradus_fit::report::{Section as Fitted, What};

use super::ask::Ask;
use super::fitting::add;
use super::parts::{Grid, Section, together};
use super::study::{RATES, Study};
use super::words::{count, decimal, flops, group, number};
use crate::error::Result;

const ABOUT: &str = "Each model trained on one budget at several peak learning rates. The best rate is the vertex of a parabola over \
    the rate\u{2019}s logarithm, through the lowest loss and its neighbours.";

/// The section, where there is such a study.
///
/// # Errors
/// If a column of `runs.csv` is missing or damaged.
pub fn section(study: &Study) -> Result<Option<Section>> {
    let Some(runs) = study.runs.as_ref().filter(|runs| runs.table.has("experiment_set") && study.has_set(RATES)) else {
        return Ok(None);
    };
    let mut section = Section::new("rates", "Learning rates", ABOUT);
    let conditions = vec![format!("experiment_set == {RATES}")];
    for of in runs.groups(&["arch", "ctx"], &conditions)? {
        let mut ask = Ask::new("minimum", What::Minimum { x: "lr".into(), y: "val_loss".into() }).of(&of);
        ask.conditions.extend(conditions.clone());
        ask.flags = " --x lr --y val_loss".into();
        ask.group = vec!["isoflop".into(), "n_params".into()];
        add(&mut section, runs, &ask, group(&of), |section, part, report| {
            let mut grid =
                Grid::new("Best learning rates", &["budget, FLOPs", "N", "rate", "loss", "between rates tried"]);
            let mut named: Vec<(String, &Plot)> = Vec::new();
            for one in &report.sections {
                let inside = one.fit["law"]["inside"] == true;
                let (budget, size) = (flops(value(one, "isoflop")), count(value(one, "n_params")));
                let rate = format!("{:.2e}", number(&one.fit, "/law/x"));
                let of = format!("{}, {budget} FLOPs, {size} parameters", part.heading);
                if inside {
                    section.found.push(format!("{of}: the loss is lowest at a learning rate of {rate}."));
                } else {
                    section
                        .unsettled
                        .push(format!("{of}: the loss is lowest at an end of the learning rates tried, {rate}."));
                }
                named.extend(one.plots.first().map(|plot| (format!("{budget} FLOPs, N {size}"), plot)));
                let loss = decimal(number(&one.fit, "/law/y"));
                grid.rows.push(vec![budget, size, rate, loss, if inside { "yes".into() } else { "no".into() }]);
            }
            part.plots = together(&named).into_iter().collect();
            part.grids = vec![grid];
        })?;
    }
    Ok(Some(section))
}

/// The value of a column that a fit is of.
fn value(one: &Fitted, column: &str) -> f64 {
    let found = one.group.iter().find(|(name, _)| name == column);
    found.and_then(|(_, value)| value.parse().ok()).unwrap_or(f64::NAN)
}
