//! What is known after a fit.

use super::Fit;
use crate::problem::Problem;
use crate::solver::{Loss, Outcome, Solution};
use crate::statistics::Information;

/// A solved fit.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct FitResult {
    /// Names of the parameters.
    pub names: Vec<String>,
    /// Values of all parameters.
    pub parameters: Vec<f64>,
    /// Standard errors: 0 for a fixed parameter, infinite for one the data do not determine (JSON: null).
    pub standard_errors: Vec<f64>,
    /// Indices of the free parameters, to which `information`, `covariance` and `correlation` refer.
    pub free: Vec<usize>,
    /// Covariance of the free parameters, by columns: infinite variances and unknown covariances (JSON:
    /// null) where the data do not determine them.
    pub covariance: Vec<f64>,
    /// Their correlation likewise.
    pub correlation: Vec<f64>,
    /// Σ C²ρ((r/C)²), the weighted residual sum of squares for plain least squares.
    pub objective: f64,
    /// Estimated variance of a residual of weight 1.
    pub variance: f64,
    /// What the objective rises by, one standard error from the minimum.
    pub unit: f64,
    /// Points with a weight above zero.
    pub points: usize,
    /// 1 − RSS/TSS, if the measured values are known.
    pub r_squared: Option<f64>,
    /// Akaike's criterion for normal errors of unknown variance, up to a constant of the data; none for a
    /// robust loss, which maximises no such likelihood.
    pub aic: Option<f64>,
    /// Bayes' criterion likewise.
    pub bic: Option<f64>,
    /// Rank, condition, undetermined combinations.
    pub information: Information,
    /// Names of parameters that ended on a bound.
    pub at_bound: Vec<String>,
    /// Largest cosine between residuals and a Jacobian column.
    pub gradient_cosine: f64,
    /// Why the search stopped.
    pub outcome: Outcome,
    /// Accepted steps.
    pub iterations: usize,
    /// Evaluations of the residuals.
    pub residual_evaluations: usize,
    /// Evaluations of the Jacobian.
    pub jacobian_evaluations: usize,
    /// Weighted residuals.
    #[serde(skip)]
    pub residuals: Vec<f64>,
    /// Weighted Jacobian by the free parameters themselves, by columns.
    #[serde(skip)]
    pub jacobian: Vec<f64>,
}

impl FitResult {
    pub(crate) fn new<P: Problem + ?Sized>(fit: &Fit<'_, P>, solution: Solution) -> Self {
        let parameters = fit.reduced().outward(&solution.parameters);
        let (m, n) = (fit.problem.residual_count(), fit.free.len());
        let mut jacobian = solution.jacobian;
        for (column, &j) in jacobian.chunks_exact_mut(m).zip(&fit.free) {
            let slope = fit.parameters[j].slope(parameters[j]);
            column.iter_mut().for_each(|v| *v /= slope);
        }
        let information = Information::of(&jacobian, m, n, fit.problem.derivative_error());
        let points = fit.point_count();
        let (variance, unit) = variance(fit.options.loss, &solution.residuals, points, information.rank);
        let mut standard_errors = vec![0.0; parameters.len()];
        for (&j, error) in fit.free.iter().zip(information.standard_errors(variance)) {
            standard_errors[j] = error;
        }
        // With no degree of freedom left, the scatter is not known, nor are errors.
        if points <= information.rank {
            fit.free.iter().for_each(|&j| standard_errors[j] = f64::INFINITY);
        }
        let squares: f64 = solution.residuals.iter().map(|r| r * r).sum();
        let (count, used) = (points as f64, n as f64 + 1.0);
        let deviance = (fit.options.loss == Loss::Squares).then(|| count * (squares / count).ln());
        let known = points > information.rank;
        let (covariance, correlation) = covariances(&information, if known { variance } else { f64::INFINITY });
        Self {
            names: fit.parameters.iter().map(|p| p.name.clone()).collect(),
            standard_errors,
            free: fit.free.clone(),
            objective: solution.objective,
            variance,
            unit,
            points,
            r_squared: r_squared(&fit.observations, &fit.roots, squares),
            aic: deviance.map(|d| d + 2.0 * used),
            bic: deviance.map(|d| d + used * count.ln()),
            covariance,
            correlation,
            information,
            at_bound: solution.at_bound.iter().map(|&k| fit.parameters[fit.free[k]].name.clone()).collect(),
            gradient_cosine: solution.gradient_cosine,
            outcome: solution.outcome,
            iterations: solution.iterations,
            residual_evaluations: solution.residual_evaluations,
            jacobian_evaluations: solution.jacobian_evaluations,
            residuals: solution.residuals,
            jacobian,
            parameters,
        }
    }

    /// Value of a parameter by name.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.names.iter().position(|n| n == name).map(|j| self.parameters[j])
    }

    /// Degrees of freedom left.
    pub fn freedom(&self) -> usize {
        self.points.saturating_sub(self.information.rank)
    }

    /// Variance of a quantity with these derivatives by all parameters; infinite if the quantity depends
    /// on a combination that is not determined.
    pub fn variance_of(&self, gradient: &[f64]) -> f64 {
        let n = self.free.len();
        let reduced: Vec<f64> = self.free.iter().map(|&j| gradient[j]).collect();
        let size = reduced.iter().fold(0.0_f64, |s, g| s.max(g.abs()));
        for direction in &self.information.undetermined {
            let along: f64 = direction.iter().zip(&reduced).map(|(d, g)| d * g).sum();
            let terms: f64 = direction.iter().zip(&reduced).map(|(d, g)| (d * g).abs()).sum();
            if along.abs() > 1e-6 * terms.max(f64::MIN_POSITIVE) && size > 0.0 {
                return f64::INFINITY;
            }
        }
        let mut sum = 0.0;
        for (j, gj) in reduced.iter().enumerate() {
            for (i, gi) in reduced.iter().enumerate() {
                sum += gi * gj * self.information.inverse[j * n + i];
            }
        }
        self.variance * sum
    }
}

/// Covariance and correlation, by columns, for a variance of the residuals.
fn covariances(information: &Information, variance: f64) -> (Vec<f64>, Vec<f64>) {
    let n = information.determined.len();
    let (mut covariance, mut correlation) = (vec![f64::NAN; n * n], vec![f64::NAN; n * n]);
    for j in 0..n {
        for i in 0..n {
            let determined = information.determined[i] && information.determined[j];
            if variance.is_finite() && determined {
                covariance[j * n + i] = variance * information.inverse[j * n + i];
            } else if i == j {
                covariance[j * n + i] = f64::INFINITY;
            }
            if i == j {
                correlation[j * n + i] = 1.0;
            } else if determined {
                correlation[j * n + i] = information.correlation(i, j);
            }
        }
    }
    (covariance, correlation)
}

/// Variance of the residuals, and the rise of the objective at one standard error. For a robust loss the
/// variance is Huber's Σψ²/(m − n) over the squared mean of ψ′, and the objective curves with that mean.
fn variance(loss: Loss, residuals: &[f64], points: usize, rank: usize) -> (f64, f64) {
    let freedom = points.saturating_sub(rank).max(1) as f64;
    if loss == Loss::Squares {
        let variance = residuals.iter().map(|r| r * r).sum::<f64>() / freedom;
        return (variance, variance);
    }
    let weights: Vec<(f64, f64)> = residuals.iter().map(|&r| loss.weights(r)).collect();
    let influence: f64 = weights.iter().zip(residuals).map(|(w, r)| (w.0 * r).powi(2)).sum();
    let slope = (weights.iter().map(|w| w.1).sum::<f64>() / residuals.len().max(1) as f64).max(1e-12);
    (influence / freedom / (slope * slope), influence / freedom / slope)
}

fn r_squared(observations: &[f64], roots: &[f64], squares: f64) -> Option<f64> {
    if observations.is_empty() {
        return None;
    }
    let weight = |i: usize| roots.get(i).map_or(1.0, |r| r * r);
    let total: f64 = (0..observations.len()).map(weight).sum();
    let mean = observations.iter().enumerate().map(|(i, y)| weight(i) * y).sum::<f64>() / total;
    let scatter: f64 = observations.iter().enumerate().map(|(i, y)| weight(i) * (y - mean).powi(2)).sum();
    (scatter > 0.0).then(|| 1.0 - squares / scatter)
}
