//! Loss curves, and the table of all runs.

use gradus_fit::plot::{Mark, Plot};
use gradus_fit::table::Table;

use super::ask::quoted;
use super::parts::{Grid, Part, Section};
use super::study::Study;
use super::words::{count, flops, group};
use crate::error::Result;
use crate::run_folder::curves::{loss_over_tokens, smoothed, thinned};

/// The most points of a curve: many curves share a diagram.
const MOST_POINTS: usize = 120;
/// Columns of the table of runs, where they are there.
const COLUMNS: [&str; 17] = [
    "run_id",
    "arch",
    "experiment_set",
    "ctx",
    "isoflop",
    "preset_ratio",
    "n_params",
    "n_tokens",
    "flops_train",
    "d_model",
    "n_blocks",
    "lr",
    "val_loss",
    "step_time_s",
    "seed",
    "selected",
    "device",
];

/// The loss curves of the runs that have their folder.
///
/// # Errors
/// If a column of `runs.csv` is missing or damaged.
pub fn curves(study: &Study) -> Result<Section> {
    let section = Section::new(
        "curves",
        "Loss curves",
        "Training loss over training FLOPs, smoothed; a dot is the last loss on held-out text. A toggle covers the runs of a \
         budget.",
    );
    let Some(runs) = study.runs.as_ref().filter(|runs| runs.table.has("run_id")) else {
        return Ok(section.without("There is no runs.csv with a column run_id in this folder."));
    };
    let table = &runs.table;
    // Diagrams in order of appearance, with the budgets in the order of their colours.
    let mut plots: Vec<(Plot, Vec<f64>)> = Vec::new();
    let (names, archs, contexts) = (table.text("run_id")?, table.text("arch")?, table.text("ctx")?);
    let (compute, tokens, sizes) =
        (table.positive("flops_train")?, table.positive("n_tokens")?, table.positive("n_params")?);
    let budgets = if table.has("isoflop") { table.text("isoflop")? } else { vec![""; table.len()] };
    let mut drawn = Vec::new();
    for row in 0..table.len() {
        let Some((name, rows)) = study.curves.iter().find(|(name, _)| name == names[row]) else { continue };
        let of = [("arch".to_owned(), archs[row].to_owned()), ("ctx".to_owned(), contexts[row].to_owned())];
        let budget = budgets[row].parse::<f64>().unwrap_or(f64::NAN);
        let title = group(&of);
        let place = plots.iter().position(|(plot, _)| plot.title == title).unwrap_or_else(|| {
            plots.push((Plot::new(&title, ("training FLOPs", true), ("loss (nats/token)", false)), Vec::new()));
            plots.len() - 1
        });
        let (plot, seen) = &mut plots[place];
        let colour = seen.iter().position(|one| one.to_bits() == budget.to_bits()).unwrap_or_else(|| {
            seen.push(budget);
            seen.len() - 1
        });
        let label = if budget.is_nan() { String::new() } else { format!("{} FLOPs: ", flops(budget)) };
        let label = format!("{label}{} parameters", count(sizes[row]));
        let (train, validation) = loss_over_tokens(rows);
        // FLOPs a token are the same throughout a run.
        let along =
            |points: Vec<(f64, f64)>| points.iter().map(|(d, l)| (d * compute[row] / tokens[row], *l)).collect();
        plot.add(&label, Mark::Line, colour, along(thinned(&smoothed(&train), MOST_POINTS)));
        plot.add(&label, Mark::Dots, colour, along(validation.last().copied().into_iter().collect()));
        drawn.push(quoted(&study.path.join("runs").join(name).display().to_string()));
    }
    if drawn.is_empty() {
        return Ok(section.without("The runs' folders, which have the curves, are not in this folder."));
    }
    // All folders have a shorter name.
    let drawn = match drawn.len() == study.folders {
        true => format!("{}/*", quoted(&study.path.join("runs").display().to_string())),
        false => drawn.join(" "),
    };
    let command = format!("gradus plot {drawn} --out curves.svg");
    let plots = plots.into_iter().map(|(plot, _)| plot).collect();
    Ok(Section { parts: vec![Part { plots, command, ..Part::default() }], ..section })
}

/// The table of all runs, with failed ones and their reasons.
///
/// # Errors
/// If a column cannot be read.
pub fn table(study: &Study) -> Result<Section> {
    let mut section =
        Section::new("runs", "All runs", "Every row of runs.csv, and the runs that failed, with the reason.");
    if !study.failures.is_empty() {
        let mut grid = Grid::new("Failed", &["run", "reason"]);
        grid.rows = study.failures.iter().map(|(name, reason)| vec![name.clone(), reason.clone()]).collect();
        section.unsettled.push(format!(
            "{} of the runs failed and are in no fit; the table of runs says why.",
            study.failures.len()
        ));
        section.parts.push(Part { grids: vec![grid], ..Part::default() });
    }
    let Some(runs) = &study.runs else {
        return Ok(if section.parts.is_empty() {
            section.without("There is no runs.csv in this folder.")
        } else {
            section
        });
    };
    let made_on = devices(&runs.table)?;
    if made_on.rows.len() > 1 {
        let said = "The runs were made on several devices: their step times are not to be compared, and equal seeds need not \
            give equal losses.";
        section.unsettled.push(said.into());
    }
    let command = match &study.plan {
        Some(_) => format!("gradus sweep status {}", quoted(&study.path.display().to_string())),
        None => String::new(),
    };
    section.parts.push(Part { grids: vec![made_on, rows(&runs.table)?], command, ..Part::default() });
    Ok(section)
}

/// How many runs each device has made, where the table says.
fn devices(table: &Table) -> Result<Grid> {
    let mut grid = Grid::new("Where they were made", &["device", "runs"]);
    if table.has("device") {
        let groups = table.group(&["device".to_string()])?;
        grid.rows = groups.iter().map(|(of, runs)| vec![of[0].1.clone(), runs.len().to_string()]).collect();
    }
    Ok(grid)
}

fn rows(table: &Table) -> Result<Grid> {
    let columns: Vec<&str> = COLUMNS.into_iter().filter(|column| table.has(column)).collect();
    let mut grid = Grid::new(&format!("{} runs", table.len()), &columns);
    let cells: Vec<Vec<&str>> =
        columns.iter().map(|column| table.text(column)).collect::<std::result::Result<_, _>>()?;
    grid.rows = (0..table.len()).map(|row| cells.iter().map(|column| column[row].to_owned()).collect()).collect();
    Ok(grid)
}
