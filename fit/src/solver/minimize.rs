//! The iteration.

use super::loss::Loss;
use super::options::{Options, Outcome};
use super::polish::polish;
use super::qr::PivotedQr;
use super::trust_region::Subproblem;
use super::vector::{dot, norm, scaled_norm};
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

/// The state that iterations share.
pub(super) struct State<'a, P: Problem + ?Sized> {
    pub problem: &'a P,
    pub options: &'a Options,
    pub bounds: Option<Bounds<'a>>,
    pub x: Vec<f64>,
    pub residuals: Vec<f64>,
    /// Root of the objective: it does not overflow where residuals can still be squared only one by one.
    pub size: f64,
    /// Jacobian as the problem gives it.
    pub jacobian: Vec<f64>,
    /// Residuals and Jacobian with the loss in them.
    pub weighted: Vec<f64>,
    pub weighted_jacobian: Vec<f64>,
    pub scale: Vec<f64>,
    pub free: Vec<usize>,
    pub held: Vec<usize>,
    pub gradient: Vec<f64>,
    pub gradient_cosine: f64,
    pub qr: PivotedQr,
    pub iterations: usize,
    pub residual_evaluations: usize,
    pub jacobian_evaluations: usize,
}

impl<'a, P: Problem + ?Sized> State<'a, P> {
    /// Writes the residuals at `x` and returns the root of their objective; infinite where there is none.
    pub fn size_at(&mut self, x: &[f64], residuals: &mut [f64]) -> f64 {
        self.residual_evaluations += 1;
        self.problem.residuals(x, residuals);
        let size = match self.options.loss {
            Loss::Squares => norm(residuals),
            loss => loss.sum(residuals).sqrt(),
        };
        if size.is_nan() { f64::INFINITY } else { size }
    }

    /// Jacobian, its weighted form, gradient, free parameters and scale at `x`. False if not finite.
    pub fn linearize(&mut self) -> bool {
        let m = self.residuals.len();
        self.jacobian_evaluations += 1;
        self.problem.jacobian(&self.x, &mut self.jacobian);
        if !self.jacobian.iter().all(|v| v.is_finite()) {
            return false;
        }
        self.weighted.clone_from(&self.residuals);
        self.weighted_jacobian.clone_from(&self.jacobian);
        self.options.loss.rescale(self.options.robust_step, &mut self.weighted, &mut self.weighted_jacobian);
        let robust = self.options.loss != Loss::Squares;
        let total = if robust { norm(&self.influences()) } else { norm(&self.residuals) };
        self.gradient_cosine = 0.0;
        self.free.clear();
        self.held.clear();
        for j in 0..self.x.len() {
            let column = &self.weighted_jacobian[j * m..(j + 1) * m];
            let length = norm(column);
            let mut gradient = dot(column, &self.weighted);
            let plain = if robust { norm(&self.jacobian[j * m..(j + 1) * m]) } else { length };
            let mut cosine = gradient / plain / total;
            if !gradient.is_finite() {
                // Too large to be multiplied: directions are all that counts there.
                gradient = gradient.clamp(f64::MIN, f64::MAX);
                cosine = column.iter().zip(&self.weighted).map(|(a, b)| (a / length) * (b / total)).sum();
            }
            self.gradient[j] = gradient;
            self.scale[j] = self.scale[j].max(length);
            if self.bounds.is_some_and(|b| {
                (self.x[j] <= b.lower[j] && gradient > 0.0) || (self.x[j] >= b.upper[j] && gradient < 0.0)
            }) {
                self.held.push(j);
                continue;
            }
            self.free.push(j);
            if gradient != 0.0 && total > 0.0 {
                self.gradient_cosine = self.gradient_cosine.max(cosine.abs());
            }
        }
        true
    }

    /// ρ′(r)·r: what each residual contributes to the gradient.
    fn influences(&self) -> Vec<f64> {
        self.residuals.iter().map(|&r| r * self.options.loss.weights(r).0).collect()
    }

    /// Factors the free columns and projects the residuals.
    pub fn subproblem(&mut self, sub: &mut Subproblem) {
        let m = self.residuals.len();
        self.qr.factor(m, &self.weighted_jacobian, &self.free);
        let mut projected: Vec<f64> = self.weighted.iter().map(|r| -r).collect();
        self.qr.apply_transposed(&mut projected);
        projected.resize(self.free.len().max(m), 0.0);
        projected.truncate(self.free.len());
        sub.projected = projected;
        self.qr.copy_triangle(&mut sub.triangle);
        sub.permutation.clone_from(&self.qr.permutation);
        sub.scale.clear();
        // A column that was always zero has no scale; any will do.
        sub.scale.extend(self.free.iter().map(|&j| if self.scale[j] > 0.0 { self.scale[j] } else { 1.0 }));
    }

    /// ‖J·s‖ with the weighted Jacobian.
    pub fn model_length(&self, step: &[f64]) -> f64 {
        let m = self.residuals.len();
        let mut product = vec![0.0; m];
        for (j, &s) in step.iter().enumerate() {
            if s != 0.0 {
                for (p, a) in product.iter_mut().zip(&self.weighted_jacobian[j * m..(j + 1) * m]) {
                    *p += a * s;
                }
            }
        }
        norm(&product)
    }

    /// Half the second derivative of the residuals along `step`, turned into a step; None where the
    /// correction is too large to be believed.
    fn geodesic(&mut self, sub: &mut Subproblem, lambda: f64, step: &[f64]) -> Option<Vec<f64>> {
        let m = self.residuals.len();
        let mut second = vec![0.0; m];
        self.problem.second_directional(&self.x, step, &mut second);
        for (s, &r) in second.iter_mut().zip(&self.residuals) {
            let (gradient, curvature) = self.options.loss.weights(r);
            let root = curvature.max(1e-3 * gradient).max(f64::MIN_POSITIVE).sqrt();
            *s *= -0.5 * root;
        }
        if !second.iter().all(|v| v.is_finite()) {
            return None;
        }
        self.qr.apply_transposed(&mut second);
        second.resize(self.free.len().max(m), 0.0);
        let mut reduced = vec![0.0; self.free.len()];
        sub.damped_solve(lambda, &second, &mut reduced);
        let first: Vec<f64> = self.free.iter().map(|&j| step[j]).collect();
        if scaled_norm(&sub.scale, &reduced) > 0.375 * scaled_norm(&sub.scale, &first) {
            return None;
        }
        let mut correction = vec![0.0; self.x.len()];
        for (&j, a) in self.free.iter().zip(&reduced) {
            correction[j] = *a;
        }
        Some(correction)
    }

    pub fn finish(self, outcome: Outcome) -> Solution {
        Solution {
            parameters: self.x,
            objective: self.options.loss.sum(&self.residuals),
            residuals: self.residuals,
            jacobian: self.jacobian,
            gradient_cosine: self.gradient_cosine,
            at_bound: self.held,
            outcome,
            iterations: self.iterations,
            residual_evaluations: self.residual_evaluations,
            jacobian_evaluations: self.jacobian_evaluations,
        }
    }
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
    let (m, n) = (problem.residual_count(), problem.parameter_count());
    if start.len() != n {
        return Err(FitError::ParameterCount { expected: n, given: start.len() });
    }
    let mut state = State {
        problem,
        options,
        bounds,
        x: start.to_vec(),
        residuals: vec![0.0; m],
        size: 0.0,
        jacobian: vec![0.0; m * n],
        weighted: Vec::new(),
        weighted_jacobian: Vec::new(),
        scale: vec![0.0; n],
        free: Vec::new(),
        held: Vec::new(),
        gradient: vec![0.0; n],
        gradient_cosine: 0.0,
        qr: PivotedQr::default(),
        iterations: 0,
        residual_evaluations: 0,
        jacobian_evaluations: 0,
    };
    if let Some(b) = bounds {
        b.clip(&mut state.x);
    }
    let mut residuals = vec![0.0; m];
    let x = state.x.clone();
    state.size = state.size_at(&x, &mut residuals);
    if !state.size.is_finite() {
        let point = residuals.iter().position(|r| !r.is_finite()).unwrap_or(0);
        return Err(FitError::NonFiniteStart { point });
    }
    state.residuals.clone_from(&residuals);
    if !state.linearize() {
        return Ok(state.finish(Outcome::NonFinite));
    }
    let outcome = iterate(&mut state, &mut residuals);
    if options.polish && outcome != Outcome::EvaluationLimit && outcome != Outcome::NonFinite {
        polish(&mut state);
    }
    let outcome = match outcome {
        // At the limit of rounding the tests above cannot pass, though the point is stationary.
        Outcome::Stalled if state.gradient_cosine <= 1e-7 => Outcome::ConvergedObjective,
        // The region shrank to nothing although the model still promises a descent: a wrong Jacobian, or a
        // kink. Where the residuals are nothing but rounding, their direction is noise and says nothing.
        Outcome::ConvergedStep
            if state.gradient_cosine > 1e-3
                && state.size > 100.0 * f64::EPSILON * scaled_norm(&state.scale, &state.x) =>
        {
            Outcome::Stalled
        }
        other => other,
    };
    Ok(state.finish(outcome))
}

/// The trust-region loop from a linearised state.
fn iterate<P: Problem + ?Sized>(state: &mut State<'_, P>, residuals: &mut [f64]) -> Outcome {
    let n = state.x.len();
    let options = state.options;
    let mut sub = Subproblem::default();
    let mut length = scaled_norm(&state.scale, &state.x);
    let mut radius = if length > 0.0 { options.first_radius * length } else { options.first_radius };
    let (mut lambda, mut step, mut reduced) = (0.0, vec![0.0; n], Vec::new());
    loop {
        // Below ε a cosine is rounding, whatever tolerance is asked for.
        let stationary = state.gradient_cosine <= options.gradient_tolerance.max(f64::EPSILON);
        if state.size == 0.0 || stationary || state.free.is_empty() {
            return Outcome::ConvergedGradient;
        }
        state.subproblem(&mut sub);
        loop {
            reduced.resize(state.free.len(), 0.0);
            lambda = sub.solve(radius, lambda, &mut reduced);
            step.fill(0.0);
            for (&j, s) in state.free.iter().zip(&reduced) {
                step[j] = *s;
            }
            let step_length = scaled_norm(&state.scale, &step);
            let straight = step.clone();
            if options.geodesic_acceleration
                && let Some(correction) = state.geodesic(&mut sub, lambda, &step)
            {
                for (s, a) in step.iter_mut().zip(&correction) {
                    *s += a;
                }
            }
            let mut trial: Vec<f64> = state.x.iter().zip(&step).map(|(x, s)| x + s).collect();
            let clipped = state.bounds.is_some_and(|b| b.clip(&mut trial));
            if clipped {
                for ((s, t), x) in step.iter_mut().zip(&trial).zip(&state.x) {
                    *s = t - x;
                }
            }
            if state.iterations == 0 {
                radius = radius.min(step_length);
            }
            let trial_size = state.size_at(&trial, residuals);
            // Reductions relative to the present objective.
            let actual = if 0.1 * trial_size < state.size { 1.0 - (trial_size / state.size).powi(2) } else { -1.0 };
            // The geodesic correction is of second order: the model's prediction is for the straight step.
            let square = (state.model_length(if clipped { &step } else { &straight }) / state.size).powi(2);
            let (predicted, slope) = if clipped {
                let slope = dot(&state.gradient, &step) / state.size / state.size;
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
            if accepted {
                state.x.clone_from(&trial);
                state.residuals.copy_from_slice(residuals);
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
