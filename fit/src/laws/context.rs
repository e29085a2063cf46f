//! How the compute-optimal size depends on the context length: ln N* = k + a·ln C + c·ln T over the
//! minima of IsoFLOP profiles at several contexts T, and the same for tokens and loss.

use super::isoflop::Profile;
use crate::FitError;
use crate::statistics::{Linear, distribution::student_quantile};
use std::f64::consts::LN_10;

/// Profiles of one context length.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct AtContext {
    /// Context length in tokens.
    pub context: f64,
    /// Profiles of its budgets.
    pub profiles: Vec<Profile>,
}

/// ln y = constant + by_compute·ln C + by_context·ln T.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Joint {
    /// Exponent of compute.
    pub by_compute: f64,
    /// Its standard error.
    pub by_compute_error: f64,
    /// Exponent of the context length.
    pub by_context: f64,
    /// Its standard error. As for every law through optima the larger of two: by the scatter of the optima
    /// about the law, and by the noise of the runs.
    pub by_context_error: f64,
    /// The regression; columns 1, ln C and ln T about their means.
    pub regression: Linear,
    /// Means of ln C and ln T.
    pub centre: [f64; 2],
}

/// A budget's optimum at two contexts.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Change {
    /// Label of the budget.
    pub budget: f64,
    /// Shorter and longer context.
    pub contexts: [f64; 2],
    /// N* at the longer over N* at the shorter.
    pub params_ratio: f64,
    /// D* likewise.
    pub tokens_ratio: f64,
    /// Loss at the optimum, longer less shorter.
    pub loss_difference: f64,
    /// Standard errors of ln `params_ratio`, ln `tokens_ratio` and `loss_difference` by the noise of the runs.
    pub errors: [f64; 3],
    /// Degrees of freedom of these errors: of the profile with fewer.
    pub freedom: usize,
}

impl Change {
    /// Intervals of the two ratios and the difference of losses.
    pub fn intervals(&self, level: f64) -> [(f64, f64); 3] {
        let quantile = student_quantile(0.5 + 0.5 * level, self.freedom);
        let half = self.errors.map(|e| if e.is_finite() { quantile * e } else { f64::INFINITY });
        let ratio = |value: f64, half: f64| (value * (-half).exp(), value * half.exp());
        [
            ratio(self.params_ratio, half[0]),
            ratio(self.tokens_ratio, half[1]),
            (self.loss_difference - half[2], self.loss_difference + half[2]),
        ]
    }
}

impl Joint {
    /// Intervals of the exponents of compute and of the context length.
    pub fn intervals(&self, level: f64) -> [(f64, f64); 2] {
        let quantile = student_quantile(0.5 + 0.5 * level, self.regression.freedom);
        [(self.by_compute, self.by_compute_error), (self.by_context, self.by_context_error)].map(|(value, error)| {
            let half = if error.is_finite() { quantile * error } else { f64::INFINITY };
            (value - half, value + half)
        })
    }
}

/// The dependence on context.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Context {
    /// Joint law of N*; None if there are too few optima to separate compute from context.
    pub params: Option<Joint>,
    /// Joint law of D*.
    pub tokens: Option<Joint>,
    /// Joint law of the loss at the optimum.
    pub loss: Option<Joint>,
    /// Changes between the shortest and each longer context at equal budgets.
    pub changes: Vec<Change>,
}

/// Compares the profiles of two contexts or more.
pub fn fit(mut all: Vec<AtContext>) -> Result<Context, FitError> {
    all.sort_by(|a, b| a.context.total_cmp(&b.context));
    if all.len() < 2 {
        return Err(FitError::Data(format!(
            "dependence on context needs 2 context lengths or more, there {} {}",
            if all.len() == 1 { "is" } else { "are" },
            all.len()
        )));
    }
    let mut changes = Vec::new();
    for longer in &all[1..] {
        for long in &longer.profiles {
            if let Some(short) = all[0].profiles.iter().find(|p| p.budget == long.budget) {
                changes.push(Change {
                    budget: long.budget,
                    contexts: [all[0].context, longer.context],
                    params_ratio: long.params.optimum / short.params.optimum,
                    tokens_ratio: long.tokens.optimum / short.tokens.optimum,
                    loss_difference: long.params.loss - short.params.loss,
                    errors: [
                        LN_10 * long.params.log_optimum_error.hypot(short.params.log_optimum_error),
                        LN_10 * long.tokens.log_optimum_error.hypot(short.tokens.log_optimum_error),
                        long.params.loss_error.hypot(short.params.loss_error),
                    ],
                    freedom: long.params.regression.freedom.min(short.params.regression.freedom),
                });
            }
        }
    }
    // Only budgets tried at every context, so that extrapolation of one does not pass for context.
    let shared = |p: &Profile| all.iter().all(|a| a.profiles.iter().any(|q| q.budget == p.budget));
    let joint = |value: fn(&Profile) -> (f64, f64)| {
        let points: Vec<Point> = all
            .iter()
            .flat_map(|a| {
                a.profiles.iter().filter(|p| shared(p)).map(|p| {
                    let (value, ln_error) = value(p);
                    Point { place: [p.flops.ln(), a.context.ln()], ln_value: value.ln(), ln_error }
                })
            })
            .collect();
        regress(&points)
    };
    Ok(Context {
        params: joint(|p| (p.params.optimum, LN_10 * p.params.log_optimum_error)),
        tokens: joint(|p| (p.tokens.optimum, LN_10 * p.tokens.log_optimum_error)),
        loss: joint(|p| (p.params.loss, p.params.loss_error / p.params.loss)),
        changes,
    })
}

/// An optimum: ln C and ln T, ln of its value, and the standard error of that by the noise of the runs.
struct Point {
    place: [f64; 2],
    ln_value: f64,
    ln_error: f64,
}

fn regress(points: &[Point]) -> Option<Joint> {
    let mean = |k: usize| points.iter().map(|p| p.place[k]).sum::<f64>() / points.len().max(1) as f64;
    let centre = [mean(0), mean(1)];
    let column = |k: usize| points.iter().map(|p| p.place[k] - centre[k]).collect::<Vec<f64>>();
    let y: Vec<f64> = points.iter().map(|p| p.ln_value).collect();
    let columns = [vec![1.0; y.len()], column(0), column(1)];
    let regression = Linear::fit(&columns, &y, None).ok()?;
    let variances: Vec<f64> = points.iter().map(|p| p.ln_error * p.ln_error).collect();
    let by_runs = regression.errors_from(&columns, &variances);
    let error = |k: usize| regression.standard_errors[k].max(by_runs[k]);
    Some(Joint {
        by_compute: regression.coefficients[1],
        by_compute_error: error(1),
        by_context: regression.coefficients[2],
        by_context_error: error(2),
        regression,
        centre,
    })
}
