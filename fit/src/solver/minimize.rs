//! The iteration.

use super::options::{Options, Outcome};
use super::polish::polish;
use super::state::State;
use super::trust_region::Subproblem;
use super::vector::{add_multiple, scaled_norm};
use crate::FitError;
use crate::problem::Problem;

/// Lower and upper bounds, one pair a parameter; infinite where there is none.
#[derive(Debug, Clone, Copy)]
pub struct Bounds<'a> {
    /// Lower bounds.
    pub lower: &'a [f64],
    /// Upper bounds.
    pub upper: &'a [f64],
}

impl Bounds<'_> {
    /// Moves each parameter into its interval; says whether any moved.
    pub fn clip(&self, parameters: &mut [f64]) -> bool {
        let mut moved = false;
        for ((x, &low), &high) in parameters.iter_mut().zip(self.lower).zip(self.upper) {
            let inside = x.max(low).min(high);
            moved |= inside != *x;
            *x = inside;
        }
        moved
    }
}

/// Where the solver ended, and what it cost.
#[derive(Debug, Clone, PartialEq)]
pub struct Solution {
    /// Parameters.
    pub parameters: Vec<f64>,
    /// Σ C²ρ((r/C)²): the residual sum of squares unless a robust loss was set (twice SciPy's cost).
    pub objective: f64,
    /// Residuals as the problem gives them.
    pub residuals: Vec<f64>,
    /// Jacobian at `parameters`, by columns.
    pub jacobian: Vec<f64>,
    /// Largest cosine between the (loss-weighted) residuals and a column of the Jacobian.
    pub gradient_cosine: f64,
    /// Parameters that ended on a bound with the gradient pointing outward.
    pub at_bound: Vec<usize>,
    /// Why it stopped.
    pub outcome: Outcome,
    /// Accepted steps.
    pub iterations: usize,
    /// Evaluations of the residuals.
    pub residual_evaluations: usize,
    /// Evaluations of the Jacobian.
    pub jacobian_evaluations: usize,
}

/// Minimises the objective from `start`, without bounds.
pub fn minimize<P: Problem + ?Sized>(problem: &P, start: &[f64], options: &Options) -> Result<Solution, FitError> {
    minimize_from(problem, start, None, options)
}

/// Minimises the objective from `start` within `bounds`.
///
/// Parameters on a bound whose gradient points outward are held for an iteration; trial points are
/// clipped to the box and judged by what the model predicts for the clipped step.
pub fn minimize_from<P: Problem + ?Sized>(
    problem: &P,
    start: &[f64],
    bounds: Option<Bounds<'_>>,
    options: &Options,
) -> Result<Solution, FitError> {
    let n = problem.parameter_count();
    if start.len() != n {
        return Err(FitError::ParameterCount { expected: n, given: start.len() });
    }
    let mut state = State::new(problem, start, bounds, options);
    state.size = state.size_at_trial();
    if !state.size.is_finite() {
        let point = state.trial_residuals.iter().position(|r| !r.is_finite()).unwrap_or(0);
        return Err(FitError::NonFiniteStart { point });
    }
    state.exchange();
    if !state.linearize() {
        return Ok(state.finish(Outcome::NonFinite));
    }
    let outcome = iterate(&mut state);
    if options.polish && outcome != Outcome::EvaluationLimit && outcome != Outcome::NonFinite {
        polish(&mut state);
    }
    let outcome = match outcome {
        // At the limit of rounding the tests above cannot pass, though the point is stationary.
        Outcome::Stalled if state.gradient_cosine <= 1e-7 => Outcome::ConvergedObjective,
        // The region shrank to nothing although the model still promises a descent: a wrong Jacobian, or a
        // kink. A descent within the rounding of the model's values is noise and says nothing.
        Outcome::ConvergedStep
            if state.gradient_cosine > 1e-3
                && state.gradient_cosine * state.size > 100.0 * f64::EPSILON * scaled_norm(&state.scale, &state.x) =>
        {
            Outcome::Stalled
        }
        other => other,
    };
    Ok(state.finish(outcome))
}

/// The trust-region loop from a linearised state.
fn iterate<P: Problem + ?Sized>(state: &mut State<'_, P>) -> Outcome {
    let options = state.options;
    let mut sub = Subproblem::default();
    let mut length = scaled_norm(&state.scale, &state.x);
    let mut radius = if length > 0.0 { options.first_radius * length } else { options.first_radius };
    // A step and the part of it that the linear model is asked about, of the free parameters.
    let (mut lambda, mut step, mut straight) = (0.0, Vec::with_capacity(state.x.len()), Vec::new());
    loop {
        // Below ε a cosine is rounding, whatever tolerance is asked for.
        let stationary = state.gradient_cosine <= options.gradient_tolerance.max(f64::EPSILON);
        if state.size == 0.0 || stationary || state.free.is_empty() {
            return Outcome::ConvergedGradient;
        }
        state.subproblem(&mut sub);
        loop {
            step.resize(state.free.len(), 0.0);
            lambda = sub.solve(radius, lambda, &mut step);
            let step_length = scaled_norm(&sub.scale, &step);
            straight.clone_from(&step);
            if options.geodesic_acceleration
                && let Some(correction) = state.geodesic(&mut sub, lambda, &step)
            {
                add_multiple(&mut step, 1.0, &correction);
            }
            let clipped = state.place_trial(&mut step);
            if clipped {
                straight.clone_from(&step);
            }
            if state.iterations == 0 {
                radius = radius.min(step_length);
            }
            let trial_size = state.size_at_trial();
            // Reductions relative to the present objective.
            let actual = if 0.1 * trial_size < state.size { 1.0 - (trial_size / state.size).powi(2) } else { -1.0 };
            // The geodesic correction is of second order: the model's prediction is for the straight step.
            let square = (state.qr.image_length(&straight, &mut state.work) / state.size).powi(2);
            let (predicted, slope) = if clipped {
                let slope: f64 = state.free.iter().zip(&step).map(|(&j, s)| state.gradient[j] * s).sum();
                let slope = slope / state.size / state.size;
                (-2.0 * slope - square, slope)
            } else {
                let damping = (lambda.sqrt() * step_length / state.size).powi(2);
                (square + 2.0 * damping, -(square + damping))
            };
            let ratio = if predicted > 0.0 { actual / predicted } else { -1.0 };
            if ratio <= 0.25 {
                let mut shrink = if actual >= 0.0 { 0.5 } else { 0.5 * slope / (slope + 0.5 * actual) };
                if 0.1 * trial_size >= state.size || !(0.1..=0.5).contains(&shrink) {
                    shrink = 0.1;
                }
                radius = shrink * radius.min(step_length / 0.1);
                lambda /= shrink;
            } else if lambda == 0.0 || ratio >= 0.75 {
                radius = if clipped { radius.max(2.0 * step_length) } else { 2.0 * step_length };
                lambda *= 0.5;
            }
            let accepted = ratio >= 1e-4;
            state.hopeful = accepted;
            if accepted {
                state.exchange();
                state.size = trial_size;
                length = scaled_norm(&state.scale, &state.x);
                state.iterations += 1;
            }
            let small = |tolerance: f64| actual.abs() <= tolerance && predicted <= tolerance && 0.5 * ratio <= 1.0;
            let outcome = if small(options.objective_tolerance) {
                Some(Outcome::ConvergedObjective)
            } else if radius <= options.step_tolerance * length && (accepted || lambda == 0.0 || actual.abs() < 1e-10) {
                Some(Outcome::ConvergedStep)
            } else if state.residual_evaluations >= options.max_evaluations {
                Some(Outcome::EvaluationLimit)
            } else if small(f64::EPSILON) || radius <= f64::EPSILON * length {
                Some(Outcome::Stalled)
            } else {
                None
            };
            if let Some(outcome) = outcome {
                if accepted && !state.linearize() {
                    return Outcome::NonFinite;
                }
                return outcome;
            }
            if accepted {
                break;
            }
        }
        if !state.linearize() {
            return Outcome::NonFinite;
        }
    }
}
