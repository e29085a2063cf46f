//! From a table to a report: text for people, JSON for programs, diagrams for both.
//!
//! The JSON is described in `docs/fit/json.md`, field by field.

mod context;
mod crossing;
mod curve;
mod intervals;
mod isoflop;
mod loss_surface;
mod minimum;
mod number;
mod overtraining;
mod pareto;
mod power_law;
mod roofline;
mod timing;

pub use curve::CurveSettings;
pub use number::{quantity, with_error};
pub use timing::{TimingKind, TimingSettings};

use crate::FitError;
use crate::laws::loss_surface::Settings as SurfaceSettings;
use crate::plot::Plot;
use crate::table::Table;
use serde_json::{Value, json};

/// Which law.
#[derive(Debug, Clone, PartialEq)]
pub enum What {
    /// L(N, D).
    LossSurface(SurfaceSettings),
    /// Parabolas and power laws; the range of budgets for the laws.
    Isoflop((f64, f64)),
    /// y = A·x^p, with an offset if asked.
    PowerLaw {
        /// Column of x.
        x: String,
        /// Column of y.
        y: String,
        /// Fits y = A·x^p + c.
        offset: bool,
    },
    /// Dependence of optima on the context length.
    Context,
    /// Slopes at each ratio of tokens to parameters.
    Overtraining,
    /// Hull of loss over compute, and with bins a decade the lower envelope too.
    Pareto(Option<usize>),
    /// Time to first token or per step.
    Timing(TimingSettings),
    /// FLOP/s over arithmetic intensity of timed calls; the kind of the settings does not matter.
    Roofline(TimingSettings),
    /// Where the curves of the values of a column cross.
    Crossing {
        /// Column of x.
        x: String,
        /// Column of y.
        y: String,
        /// Column whose values have a curve each.
        by: String,
    },
    /// Where a curve is lowest.
    Minimum {
        /// Column of x.
        x: String,
        /// Column of y.
        y: String,
    },
    /// Any formula.
    Curve(CurveSettings),
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// The law.
    pub what: What,
    /// Columns whose values separate the fits.
    pub group: Vec<String>,
    /// Column of weights.
    pub weight: Option<String>,
    /// Condition the caller already applied; decides which defaults still apply.
    pub condition: Option<String>,
    /// Level of the intervals.
    pub level: f64,
    /// Bootstrap refits; 0 for none.
    pub bootstrap: usize,
    /// Seed of the bootstrap.
    pub seed: u64,
}

impl Request {
    /// A request with intervals at 95 % and 1000 bootstrap refits.
    pub fn new(what: What) -> Self {
        Self { what, group: Vec::new(), weight: None, condition: None, level: 0.95, bootstrap: 1000, seed: 0 }
    }
}

/// The fit of one group.
#[derive(Debug, Clone, PartialEq)]
pub struct Section {
    /// The group's values.
    pub group: Vec<(String, String)>,
    /// For people.
    pub text: String,
    /// For programs.
    pub fit: Value,
    /// Diagrams.
    pub plots: Vec<Plot>,
}

/// All groups.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// Name of the law, as on the command line.
    pub what: &'static str,
    /// Level of the intervals.
    pub level: f64,
    /// What was left out, repeated, or assumed.
    pub notes: Vec<String>,
    /// One a group.
    pub sections: Vec<Section>,
}

impl Report {
    /// The JSON document.
    pub fn json(&self) -> Value {
        let groups: Vec<Value> = self
            .sections
            .iter()
            .map(|s| {
                let group: serde_json::Map<String, Value> =
                    s.group.iter().map(|(k, v)| (k.clone(), Value::from(v.clone()))).collect();
                json!({ "group": group, "fit": s.fit })
            })
            .collect();
        json!({ "gradus_fit": 1, "what": self.what, "level": self.level, "notes": self.notes, "groups": groups })
    }

    /// The text.
    pub fn text(&self) -> String {
        let mut out = String::new();
        for note in &self.notes {
            out.push_str(&format!("note: {note}\n"));
        }
        for section in &self.sections {
            if !section.group.is_empty() {
                let names: Vec<String> = section.group.iter().map(|(k, v)| format!("{k} = {v}")).collect();
                out.push_str(&format!("\n── {} ──\n", names.join(", ")));
            }
            out.push_str(&section.text);
        }
        out
    }

    /// All diagrams, titled by group.
    pub fn plots(&self) -> Vec<Plot> {
        let mut plots = Vec::new();
        for section in &self.sections {
            let name: Vec<&str> = section.group.iter().map(|g| g.1.as_str()).collect();
            for plot in &section.plots {
                let mut plot = plot.clone();
                if !name.is_empty() {
                    plot.title = format!("{}: {}", name.join(" "), plot.title);
                }
                plots.push(plot);
            }
        }
        plots
    }
}

/// The rows a law is meant for where the table says what each run was made for, unless the caller chose.
fn default_rows(table: Table, request: &Request, set: &str, notes: &mut Vec<String>) -> Result<Table, FitError> {
    let column = "experiment_set";
    let chosen =
        request.condition.as_ref().is_some_and(|c| c.contains(column)) || request.group.iter().any(|g| g == column);
    let there = table.has(column) && table.text(column)?.contains(&set);
    if chosen || !there {
        return Ok(table);
    }
    let kept = table.filter(&format!("{column} == {set}"))?;
    if kept.len() < table.len() {
        notes.push(format!(
            "{} of {} rows used: those with {column} == {set} (name {column} in --where to choose others)",
            kept.len(),
            table.len()
        ));
    }
    Ok(kept)
}

/// Says which rows repeat others.
fn note_repeats(
    table: &Table,
    columns: &[&str],
    weight: Option<&String>,
    notes: &mut Vec<String>,
) -> Result<(), FitError> {
    let repeats = table.repeats(columns)?;
    if let Some((line, first)) = repeats.first() {
        notes.push(format!(
            "{} rows repeat others in {} (row {line} is row {first} again): each counts{}",
            repeats.len(),
            columns.join(", "),
            if weight.is_some() { " by its weight" } else { " once more; filter or weigh them if that is not meant" }
        ));
    }
    Ok(())
}

fn weights(table: &Table, request: &Request) -> Result<Vec<f64>, FitError> {
    match &request.weight {
        Some(column) => table.weights(column),
        None => Ok(vec![1.0; table.len()]),
    }
}

/// Makes the report.
pub fn report(table: Table, request: &Request) -> Result<Report, FitError> {
    let mut notes = Vec::new();
    if table.is_empty() {
        return Err(FitError::Data("the table has a header but no rows".into()));
    }
    type Make = fn(&Table, &Request, &mut Vec<String>) -> Result<Section, FitError>;
    let (what, set, columns, make): (_, _, &[&str], Make) = match &request.what {
        What::LossSurface(_) => {
            ("loss-surface", "tokenparam", &["n_params", "n_tokens", "val_loss"], loss_surface::section)
        }
        What::Isoflop(_) => {
            ("isoflop", "isoflop", &["n_params", "n_tokens", "flops_train", "val_loss"], isoflop::section)
        }
        What::Context => {
            ("context", "isoflop", &["n_params", "n_tokens", "flops_train", "val_loss", "ctx"], context::section)
        }
        What::Overtraining => ("overtraining", "tokenparam", &["flops_train", "val_loss"], overtraining::section),
        What::Pareto(_) => ("pareto", "tokenparam", &["flops_train", "val_loss"], pareto::section),
        What::PowerLaw { .. } => ("power-law", "", &[], power_law::section),
        What::Timing(settings) => (settings.kind.name(), "", &[], timing::section),
        What::Roofline(_) => ("roofline", "", &[], roofline::section),
        What::Crossing { .. } => ("crossing", "", &[], crossing::section),
        What::Minimum { .. } => ("minimum", "", &[], minimum::section),
        What::Curve(_) => ("curve", "", &[], curve::section),
    };
    let table = if set.is_empty() { table } else { default_rows(table, request, set, &mut notes)? };
    // Where a law has no columns of its own, rows repeat others if they do in every column.
    let every: Vec<&str> = table.names().collect();
    let columns = if columns.is_empty() { &every[..] } else { columns };
    note_repeats(&table, columns, request.weight.as_ref(), &mut notes)?;
    if ["pareto", "roofline"].contains(&what) {
        // Groups are compared with each other, so all of them make one section.
        let sections = vec![make(&table, request, &mut notes)?];
        notes.dedup();
        return Ok(Report { what, level: request.level, notes, sections });
    }
    let mut sections = Vec::new();
    for (group, rows) in table.group(&request.group)? {
        let shown: Vec<String> = group.iter().map(|(k, v)| format!("{k} = {v}")).collect();
        let mut section = make(&rows, request, &mut notes).map_err(|e| match e {
            FitError::Cell { .. } | FitError::MissingColumn { .. } => e,
            e if shown.is_empty() => e,
            e => FitError::Data(format!("{}: {e}", shown.join(", "))),
        })?;
        section.group = group;
        sections.push(section);
    }
    notes.dedup();
    Ok(Report { what, level: request.level, notes, sections })
}
