//! Settings and outcomes of the solver.

use super::loss::{Loss, RobustStep};
use std::fmt;

/// Settings of [`minimize`](super::minimize). The defaults ask for all the digits that doubles hold.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// Stop when actual and predicted relative reduction of the objective are both below this.
    pub objective_tolerance: f64,
    /// Stop when the trust region is below this fraction of the scaled parameters.
    pub step_tolerance: f64,
    /// Stop when the cosine between residuals and every Jacobian column is below this.
    pub gradient_tolerance: f64,
    /// Most evaluations of the residuals; a Jacobian is counted apart.
    pub max_evaluations: usize,
    /// First radius, in units of ‖D·x‖ (or of 1 where that is zero).
    pub first_radius: f64,
    /// Adds the second-order correction of Transtrum and Sethna (2012) to each step.
    pub geodesic_acceleration: bool,
    /// Ends with undamped steps that lower the gradient, until rounding stops them.
    pub polish: bool,
    /// Robust loss.
    pub loss: Loss,
    /// How a robust loss enters the step.
    pub robust_step: RobustStep,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            objective_tolerance: 1e-14,
            step_tolerance: 1e-12,
            gradient_tolerance: 1e-14,
            max_evaluations: 2000,
            first_radius: 100.0,
            geodesic_acceleration: false,
            polish: true,
            loss: Loss::Squares,
            robust_step: RobustStep::Triggs,
        }
    }
}

/// Why the solver stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The residuals are orthogonal to the Jacobian: a stationary point.
    ConvergedGradient,
    /// The step that the model asks for is negligible.
    ConvergedStep,
    /// The objective no longer falls, nor does the model say that it would.
    ConvergedObjective,
    /// No step lowers the objective although the gradient is not zero: rounding, or a wrong Jacobian.
    Stalled,
    /// The number of evaluations ran out.
    EvaluationLimit,
    /// Residuals or Jacobian are not finite at a point from which no step leads away.
    NonFinite,
}

impl Outcome {
    /// Whether this is a stationary point within the tolerances.
    pub fn converged(self) -> bool {
        matches!(self, Self::ConvergedGradient | Self::ConvergedStep | Self::ConvergedObjective)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ConvergedGradient => "converged (gradient)",
            Self::ConvergedStep => "converged (step)",
            Self::ConvergedObjective => "converged (objective)",
            Self::Stalled => "stalled: no step lowers the objective",
            Self::EvaluationLimit => "out of evaluations",
            Self::NonFinite => "values that are not finite",
        })
    }
}
