//! Any formula.

use super::intervals::Intervals;
use super::{Request, Section, What, weights};
use crate::FitError;
use crate::expression::{Curve, Expression};
use crate::fit::{Fit, FitResult, Parameter};
use crate::multistart::{Effort, around, solve_many};
use crate::plot::{Mark, Plot};
use crate::problem::{Automatic, Model};
use crate::solver::{Loss, Options};
use crate::table::Table;
use serde_json::{Value, json};

/// A formula to be fitted.
#[derive(Debug, Clone, PartialEq)]
pub struct CurveSettings {
    /// The formula.
    pub model: String,
    /// Parameters with starts, bounds, transforms.
    pub parameters: Vec<Parameter>,
    /// Column of the measured values.
    pub y: String,
    /// Robust loss.
    pub loss: Loss,
    /// Starts tried, the given one first; 1 for it alone.
    pub starts: usize,
    /// Powers of ten over which the other starts spread.
    pub decades: f64,
}

impl CurveSettings {
    /// Least squares from 64 starts over two decades.
    pub fn new(model: &str, parameters: Vec<Parameter>, y: &str) -> Self {
        Self { model: model.into(), parameters, y: y.into(), loss: Loss::Squares, starts: 64, decades: 2.0 }
    }
}

pub(super) fn section(table: &Table, request: &Request, _: &mut Vec<String>) -> Result<Section, FitError> {
    let What::Curve(settings) = &request.what else {
        return Err(FitError::Data("no formula was given".into()));
    };
    let names: Vec<String> = settings.parameters.iter().map(|p| p.name.clone()).collect();
    let expression = Expression::parse(&settings.model, &names)?;
    let mut columns = Vec::new();
    for name in &expression.columns {
        columns.push(table.numbers(name)?);
    }
    let y = table.numbers(&settings.y)?;
    let rows: Vec<Vec<f64>> = (0..y.len()).map(|i| columns.iter().map(|c| c[i]).collect()).collect();
    let first_column = expression.columns.first().cloned();
    let problem = Automatic(Curve { expression, parameters: names.len(), rows, y: y.clone() });
    let options = Options { loss: settings.loss, ..Options::default() };
    let fit = Fit::new(&problem, settings.parameters.clone())?
        .weights(&weights(table, request)?)?
        .observations(y.clone())
        .options(options);
    let starts = around(&settings.parameters, settings.decades, settings.starts);
    let found = solve_many(&fit, &starts, Effort { screening: 60, finalists: 24 }).map_err(|e| match e {
        FitError::NonFiniteStart { point } => FitError::Data(format!(
            "the formula has no finite value in row {} at the start: start elsewhere or leave the row out",
            table.line(point)
        )),
        e => e,
    })?;
    let best = &found.best;
    let intervals = Intervals::of(&fit, best, request)?;
    let mut text = format!("{} = {}\n", settings.y, settings.model);
    let bands: Vec<Value> = (0..names.len()).map(|j| intervals.json(best, j)).collect();
    (0..names.len()).for_each(|j| text.push_str(&intervals.line(best, j)));
    text.push_str(&format!(
        "objective {:.10e}, {} points, R² {}, AIC {}, BIC {}\n{} after {} steps, {} evaluations; rank {} of {}, condition {:.1e}\n",
        best.objective,
        best.points,
        best.r_squared.map_or("unknown".into(), |r| format!("{r:.6}")),
        best.aic.map_or("none (robust loss)".into(), |a| format!("{a:.2}")),
        best.bic.map_or("none".into(), |b| format!("{b:.2}")),
        best.outcome,
        best.iterations,
        best.residual_evaluations,
        best.information.rank,
        best.free.len(),
        best.information.condition
    ));
    for (a, b, correlation) in strong_correlations(best) {
        text.push_str(&format!("correlation of {a} and {b}: {correlation:.4}\n"));
    }
    text.push_str(&intervals.remarks(best));
    let free: Vec<String> = best.free.iter().map(|&j| names[j].clone()).collect();
    let undetermined = best.information.describe(&free);
    for combination in &undetermined {
        text.push_str(&format!("NOT DETERMINED by these data: {combination}\n"));
    }
    for name in &best.at_bound {
        text.push_str(&format!("{name} ended on a bound: its error and interval hold for the others' sake only\n"));
    }
    if found.minima.len() > 1 {
        text.push_str(&format!(
            "{} starts found {} distinct minima; the next has objective {:.6e}\n",
            found.started,
            found.minima.len(),
            found.minima[1].objective
        ));
    }
    let predicted: Vec<f64> = (0..y.len()).map(|i| problem.0.residual(i, &best.parameters) + y[i]).collect();
    let x: Vec<f64> = columns.first().cloned().unwrap_or_else(|| (0..y.len()).map(|i| i as f64).collect());
    let label = first_column.unwrap_or_else(|| "row".into());
    let mut plot = Plot::new(&settings.model, (&label, false), (&settings.y, false));
    plot.add("data", Mark::Dots, 0, x.iter().copied().zip(y.iter().copied()).collect());
    let mut line: Vec<(f64, f64)> = x.iter().copied().zip(predicted.iter().copied()).collect();
    line.sort_by(|a, b| a.0.total_cmp(&b.0));
    plot.add("fit", Mark::Line, 1, line);
    let mut residuals = Plot::new("Residuals", (&label, false), ("fit - data", false));
    residuals.add("", Mark::Dots, 0, x.iter().zip(&predicted).zip(&y).map(|((x, p), y)| (*x, p - y)).collect());
    residuals.level(0.0);
    Ok(Section {
        group: Vec::new(),
        text,
        fit: json!({ "law": { "model": settings.model, "parameters": bands }, "result": best,
                     "minima": found.minima.iter().take(10).collect::<Vec<_>>(), "undetermined": undetermined }),
        plots: vec![plot, residuals],
    })
}

/// Pairs of parameters whose correlation is above 0.95 in size: their errors are not independent.
fn strong_correlations(best: &FitResult) -> Vec<(&str, &str, f64)> {
    let n = best.free.len();
    let mut pairs = Vec::new();
    for j in 0..n {
        for i in 0..j {
            let value = best.correlation[j * n + i];
            if value.abs() > 0.95 {
                pairs.push((best.names[best.free[i]].as_str(), best.names[best.free[j]].as_str(), value));
            }
        }
    }
    pairs
}
