//! What the iterations share: the point, its residuals and Jacobian, and what follows from them.
//!
//! All memory is taken before the first iteration; the loops only swap and overwrite it.

use super::loss::Loss;
use super::minimize::{Bounds, Solution};
use super::options::{Options, Outcome};
use super::qr::PivotedQr;
use super::trust_region::Subproblem;
use super::vector::{dot, norm, scaled_norm};
use crate::problem::Problem;

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
    /// A point under trial and its residuals.
    pub trial: Vec<f64>,
    pub trial_residuals: Vec<f64>,
    /// The trial's Jacobian if `spare_known`; after `linearize` that of the point before.
    pub spare_jacobian: Vec<f64>,
    spare_known: bool,
    /// Whether the trial will probably be accepted, so that its Jacobian is worth computing at once.
    pub hopeful: bool,
    /// Residuals and Jacobian with a robust loss in them; unused without one.
    robust_residuals: Vec<f64>,
    robust_jacobian: Vec<f64>,
    /// Norms of the columns of the Jacobian with the loss in it.
    pub lengths: Vec<f64>,
    /// The largest of these so far.
    pub scale: Vec<f64>,
    pub free: Vec<usize>,
    pub held: Vec<usize>,
    pub gradient: Vec<f64>,
    pub gradient_cosine: f64,
    pub qr: PivotedQr,
    projected: Vec<f64>,
    pub work: Vec<f64>,
    pub iterations: usize,
    pub residual_evaluations: usize,
    pub jacobian_evaluations: usize,
}

impl<'a, P: Problem + ?Sized> State<'a, P> {
    pub fn new(problem: &'a P, start: &[f64], bounds: Option<Bounds<'a>>, options: &'a Options) -> Self {
        let (m, n) = (problem.residual_count(), start.len());
        let mut x = start.to_vec();
        if let Some(b) = bounds {
            b.clip(&mut x);
        }
        Self {
            problem,
            options,
            bounds,
            trial: x.clone(),
            x,
            residuals: vec![0.0; m],
            size: f64::INFINITY,
            jacobian: vec![0.0; m * n],
            trial_residuals: vec![0.0; m],
            spare_jacobian: vec![0.0; m * n],
            spare_known: false,
            hopeful: true,
            robust_residuals: Vec::new(),
            robust_jacobian: Vec::new(),
            lengths: vec![0.0; n],
            scale: vec![0.0; n],
            free: Vec::with_capacity(n),
            held: Vec::new(),
            gradient: vec![0.0; n],
            gradient_cosine: 0.0,
            qr: PivotedQr::default(),
            projected: Vec::with_capacity(m.max(n)),
            work: Vec::with_capacity(n),
            iterations: 0,
            residual_evaluations: 0,
            jacobian_evaluations: 0,
        }
    }

    /// Writes the residuals at `trial` and returns the root of their objective; infinite where there is none.
    pub fn size_at_trial(&mut self) -> f64 {
        self.residual_evaluations += 1;
        self.spare_known = self.hopeful
            && self.problem.residuals_and_jacobian(&self.trial, &mut self.trial_residuals, &mut self.spare_jacobian);
        if self.spare_known {
            self.jacobian_evaluations += 1;
        } else {
            self.problem.residuals(&self.trial, &mut self.trial_residuals);
        }
        let size = match self.options.loss {
            Loss::Squares => norm(&self.trial_residuals),
            loss => loss.sum(&self.trial_residuals).sqrt(),
        };
        if size.is_nan() { f64::INFINITY } else { size }
    }

    /// Makes `x` plus a step of the free parameters the trial. Where that lies outside the bounds it is
    /// clipped, and so is the step; says whether it was.
    pub fn place_trial(&mut self, step: &mut [f64]) -> bool {
        self.trial.copy_from_slice(&self.x);
        for (&j, s) in self.free.iter().zip(step.iter()) {
            self.trial[j] += s;
        }
        let clipped = self.bounds.is_some_and(|b| b.clip(&mut self.trial));
        if clipped {
            for (&j, s) in self.free.iter().zip(step) {
                *s = self.trial[j] - self.x[j];
            }
        }
        clipped
    }

    /// Moves to the trial point; the point left becomes the trial. To be followed by `linearize`.
    pub fn exchange(&mut self) {
        std::mem::swap(&mut self.x, &mut self.trial);
        std::mem::swap(&mut self.residuals, &mut self.trial_residuals);
    }

    /// Residuals and Jacobian with the loss in them.
    fn weighted(&self) -> (&[f64], &[f64]) {
        match self.options.loss {
            Loss::Squares => (&self.residuals, &self.jacobian),
            _ => (&self.robust_residuals, &self.robust_jacobian),
        }
    }

    /// Jacobian, gradient, free parameters and scale at `x`. False if not finite.
    pub fn linearize(&mut self) -> bool {
        let m = self.residuals.len();
        std::mem::swap(&mut self.jacobian, &mut self.spare_jacobian);
        if !std::mem::take(&mut self.spare_known) {
            self.jacobian_evaluations += 1;
            self.problem.jacobian(&self.x, &mut self.jacobian);
        }
        let robust = self.options.loss != Loss::Squares;
        let mut total = self.size;
        if robust {
            self.robust_residuals.clone_from(&self.residuals);
            self.robust_jacobian.clone_from(&self.jacobian);
            let step = self.options.robust_step;
            self.options.loss.rescale(step, &mut self.robust_residuals, &mut self.robust_jacobian);
            total = norm(&self.influences());
        }
        self.gradient_cosine = 0.0;
        self.free.clear();
        self.held.clear();
        for j in 0..self.x.len() {
            let plain = &self.jacobian[j * m..(j + 1) * m];
            let (residuals, jacobian) = self.weighted();
            let column = &jacobian[j * m..(j + 1) * m];
            let length = norm(column);
            if !length.is_finite() {
                return false;
            }
            let plain_length = if robust { norm(plain) } else { length };
            let mut gradient = dot(column, residuals);
            let mut cosine = gradient / plain_length / total;
            if !gradient.is_finite() {
                // Too large to be multiplied: directions are all that counts there.
                gradient = gradient.clamp(f64::MIN, f64::MAX);
                cosine = column.iter().zip(residuals).map(|(a, b)| (a / length) * (b / total)).sum();
            }
            self.gradient[j] = gradient;
            self.lengths[j] = length;
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
        let (residuals, jacobian) = match self.options.loss {
            Loss::Squares => (&self.residuals, &self.jacobian),
            _ => (&self.robust_residuals, &self.robust_jacobian),
        };
        self.qr.factor(m, jacobian, &self.free, &self.lengths);
        self.projected.clear();
        self.projected.extend(residuals.iter().map(|r| -r));
        self.qr.apply_transposed(&mut self.projected);
        self.projected.resize(self.free.len().max(m), 0.0);
        sub.projected.clear();
        sub.projected.extend_from_slice(&self.projected[..self.free.len()]);
        self.qr.copy_triangle(&mut sub.triangle);
        sub.permutation.clone_from(&self.qr.permutation);
        sub.scale.clear();
        // A column that was always zero has no scale; any will do.
        sub.scale.extend(self.free.iter().map(|&j| if self.scale[j] > 0.0 { self.scale[j] } else { 1.0 }));
    }

    /// Half the second derivative of the residuals along `step` (of the free parameters), turned into a
    /// step; None where the correction is too large to be believed.
    pub fn geodesic(&mut self, sub: &mut Subproblem, lambda: f64, step: &[f64]) -> Option<Vec<f64>> {
        let m = self.residuals.len();
        let (mut second, mut full) = (vec![0.0; m], vec![0.0; self.x.len()]);
        for (&j, &s) in self.free.iter().zip(step) {
            full[j] = s;
        }
        self.problem.second_directional(&self.x, &full, &mut second);
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
        let mut correction = vec![0.0; self.free.len()];
        sub.damped_solve(lambda, &second, &mut correction);
        let small = scaled_norm(&sub.scale, &correction) <= 0.375 * scaled_norm(&sub.scale, step);
        small.then_some(correction)
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
