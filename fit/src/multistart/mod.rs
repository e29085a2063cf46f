//! Many starts, in parallel, with the same answer for any number of threads.
//!
//! Every stage maps all its starts independently and ranks them by objective, then by index, so that no
//! start's fate depends on which thread finished first.

mod starts;

pub use starts::{around, grid, low_discrepancy};

use crate::FitError;
use crate::fit::{Fit, FitResult};
use crate::problem::Problem;
use crate::solver::{Loss, Options, Outcome, newton};
use rayon::prelude::*;

/// How much work each start is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Effort {
    /// Evaluations in the short search that every start gets.
    pub screening: usize,
    /// Starts that are then searched to the end.
    pub finalists: usize,
}

impl Default for Effort {
    fn default() -> Self {
        Self { screening: 12, finalists: 64 }
    }
}

/// A distinct minimum.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Minimum {
    /// Values of all parameters.
    pub parameters: Vec<f64>,
    /// Objective there.
    pub objective: f64,
    /// Finalists that ended there.
    pub hits: usize,
    /// How the best of them ended.
    pub outcome: Outcome,
}

/// Result of many starts.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct MultiResult {
    /// The best fit.
    pub best: FitResult,
    /// Distinct minima, best first.
    pub minima: Vec<Minimum>,
    /// Starts tried.
    pub started: usize,
    /// Starts where the model is not finite.
    pub not_finite: usize,
    /// Starts given up after screening.
    pub rejected: usize,
    /// Evaluations of the residuals by Levenberg-Marquardt, all starts together.
    pub evaluations: usize,
}

/// Solves from every start and keeps the distinct minima. The first start, which a person may have chosen,
/// is always searched to the end; among equally good ends that of the earliest start is the best, so that
/// parameters that could be exchanged stay where they were put.
pub fn solve_many<P: Problem + ?Sized>(
    fit: &Fit<'_, P>,
    starts: &[Vec<f64>],
    effort: Effort,
) -> Result<MultiResult, FitError> {
    let short = Fit {
        options: Options { max_evaluations: effort.screening, polish: false, ..fit.options.clone() },
        ..fit.clone()
    };
    let screened: Vec<Option<Screened>> = starts
        .par_iter()
        .map(|start| {
            let solution = short.search_from(start).ok()?;
            Some(Screened {
                objective: solution.objective,
                index: 0,
                parameters: solution.parameters,
                iterations: solution.iterations,
                evaluations: [solution.residual_evaluations, solution.jacobian_evaluations],
            })
        })
        .collect();
    let not_finite = screened.iter().filter(|s| s.is_none()).count();
    let mut ranked: Vec<Screened> =
        screened.into_iter().enumerate().filter_map(|(index, s)| s.map(|s| Screened { index, ..s })).collect();
    ranked.sort_by(|a, b| a.objective.total_cmp(&b.objective).then(a.index.cmp(&b.index)));
    let candidates = ranked.len();
    if candidates == 0 {
        // The first start says at which point.
        let reason = starts.first().and_then(|start| fit.search_from(start).err());
        return Err(reason.unwrap_or(FitError::NonFiniteStart { point: 0 }));
    }
    // Ends this close differ by rounding only.
    let rounding = ranked.last().map_or(0.0, |worst| 1e-24 * worst.objective);
    let mut evaluations: usize = ranked.iter().map(|s| s.evaluations[0]).sum();
    let finalists = diverse(ranked, effort.finalists);
    let rejected = candidates - finalists.len();
    let mut ends: Vec<End> = finalists
        .par_iter()
        .filter_map(|screened| {
            let solution = fit.search_from(&fit.reduced().outward(&screened.parameters)).ok()?;
            let [residuals, jacobians] = screened.evaluations;
            let cost = [
                screened.iterations + solution.iterations,
                residuals + solution.residual_evaluations,
                jacobians + solution.jacobian_evaluations,
            ];
            let (objective, coordinates, outcome) = finish(fit, solution);
            Some(End { objective, index: screened.index, coordinates, outcome, cost })
        })
        .collect();
    evaluations += ends.iter().map(|e| e.cost[1]).sum::<usize>();
    evaluations -= finalists.iter().map(|s| s.evaluations[0]).sum::<usize>();
    ends.sort_by(|a, b| a.objective.total_cmp(&b.objective).then(a.index.cmp(&b.index)));
    if let Some(lowest) = ends.first().map(|e| e.objective) {
        let equal = ends.iter().take_while(|e| e.objective <= lowest * (1.0 + 1e-9) + rounding).count();
        ends[..equal].sort_by_key(|e| e.index);
    }
    let minima = distinct(fit, &ends);
    let Some(first) = minima.first() else { return Err(FitError::NonFiniteStart { point: 0 }) };
    let mut best = result_at(fit, &first.parameters, first.outcome)?;
    if let Some(end) = ends.first() {
        [best.iterations, best.residual_evaluations, best.jacobian_evaluations] = end.cost;
    }
    Ok(MultiResult { best, minima, started: starts.len(), not_finite, rejected, evaluations })
}

/// A start after its short search.
struct Screened {
    objective: f64,
    index: usize,
    /// Coordinates of the free parameters.
    parameters: Vec<f64>,
    iterations: usize,
    /// Of the residuals, of the Jacobian.
    evaluations: [usize; 2],
}

/// Where a finalist ended.
struct End {
    objective: f64,
    index: usize,
    coordinates: Vec<f64>,
    outcome: Outcome,
    /// Iterations, evaluations of the residuals, of the Jacobian, the short search included.
    cost: [usize; 3],
}

/// The best `count` and the first start, leaving out those that already ended at the same objective as a
/// better one three times: they would be searched to the same end.
fn diverse(ranked: Vec<Screened>, count: usize) -> Vec<Screened> {
    let mut chosen: Vec<Screened> = Vec::new();
    let (mut last, mut repeats) = (f64::NAN, 0);
    for screened in ranked {
        let same = (screened.objective - last).abs() <= 1e-9 * last.abs();
        repeats = if same { repeats + 1 } else { 0 };
        last = screened.objective;
        if screened.index == 0 || (chosen.len() < count && repeats < 3) {
            chosen.push(screened);
        }
    }
    chosen
}

/// Brings a robust fit to its true minimum.
pub(crate) fn finish<P: Problem + ?Sized>(fit: &Fit<'_, P>, solution: crate::Solution) -> (f64, Vec<f64>, Outcome) {
    let (mut x, mut objective, mut outcome) = (solution.parameters, solution.objective, solution.outcome);
    if fit.options.loss != Loss::Squares && solution.at_bound.is_empty() {
        let reduced = fit.reduced();
        let (refined, lower, converged) = newton(&reduced, fit.options.loss, &x, 200);
        if lower <= objective {
            (x, objective) = (refined, lower);
            if converged {
                outcome = Outcome::ConvergedGradient;
            }
        }
    }
    (objective, x, outcome)
}

/// Groups ends that agree in objective to 1e-6, and in parameters to a tenth of a percent of their size.
fn distinct<P: Problem + ?Sized>(fit: &Fit<'_, P>, ends: &[End]) -> Vec<Minimum> {
    let mut minima: Vec<Minimum> = Vec::new();
    for End { objective, coordinates, outcome, .. } in ends {
        let parameters = fit.reduced().outward(coordinates);
        let same = minima.iter_mut().find(|m| {
            (objective - m.objective).abs() <= 1e-6 * m.objective.abs()
                && m.parameters.iter().zip(&parameters).all(|(a, b)| (a - b).abs() <= 1e-3 * (a.abs() + b.abs() + 1e-9))
        });
        match same {
            Some(minimum) => minimum.hits += 1,
            None => minima.push(Minimum { parameters, objective: *objective, hits: 1, outcome: *outcome }),
        }
    }
    minima
}

/// The full result at a point already found.
pub(crate) fn result_at<P: Problem + ?Sized>(
    fit: &Fit<'_, P>,
    parameters: &[f64],
    outcome: Outcome,
) -> Result<FitResult, FitError> {
    let still = Fit { options: Options { max_evaluations: 0, polish: false, ..fit.options.clone() }, ..fit.clone() };
    let mut result = still.solve_from(parameters)?;
    result.outcome = outcome;
    Ok(result)
}
