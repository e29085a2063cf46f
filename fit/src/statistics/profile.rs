//! Confidence intervals by profile likelihood.
//!
//! For a value θ of one parameter the others are fitted again; S(θ) is the objective then. The interval
//! is where (S(θ) − S_min)/s² stays below the square of Student's t (Bates and Watts, *Nonlinear
//! Regression Analysis*, 1988). It need not be symmetric, and a side on which S never rises enough is
//! infinite.

use super::distribution::student_quantile;
use crate::FitError;
use crate::fit::{Fit, FitResult, Transform};
use crate::problem::Problem;
use crate::solver::Options;

/// A confidence interval.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Interval {
    /// Lower end; −∞ if the data set none.
    pub low: f64,
    /// Upper end; ∞ if the data set none.
    pub high: f64,
}

impl Interval {
    /// Whether a value lies inside.
    pub fn contains(&self, value: f64) -> bool {
        self.low <= value && value <= self.high
    }
}

/// Steps outward before a side is called infinite: 2⁴⁰ standard errors.
const EXPANSIONS: usize = 40;

/// The profile of one parameter of a solved fit.
struct Profile<'a, 'b, P: Problem + ?Sized> {
    fit: Fit<'b, P>,
    best: &'a FitResult,
    index: usize,
    target: f64,
}

impl<P: Problem + ?Sized> Profile<'_, '_, P> {
    /// √((S − S_min)/s²) − t at a value; also the other parameters there.
    fn excess(&mut self, value: f64, near: &[f64]) -> Option<(f64, Vec<f64>)> {
        let mut start = near.to_vec();
        start[self.index] = value;
        self.fit.parameters[self.index].start = value;
        let solution = self.fit.search_from(&start).ok()?;
        let rise = (solution.objective - self.best.objective).max(0.0) / self.best.unit;
        Some((rise.sqrt() - self.target, self.fit.reduced().outward(&solution.parameters)))
    }

    /// The end of the interval on one side.
    fn side(&mut self, sign: f64) -> f64 {
        let (middle, error) = (self.best.parameters[self.index], self.best.standard_errors[self.index]);
        let parameter = self.fit.parameters[self.index].clone();
        let edge = if sign > 0.0 { parameter.upper } else { parameter.lower };
        let mut inside = (middle, -self.target, self.best.parameters.clone());
        let mut step = self.target * error;
        for _ in 0..EXPANSIONS {
            let mut value = inside.0 + sign * step;
            let at_edge = (value - edge) * sign >= 0.0;
            if at_edge {
                value = edge;
            }
            if parameter.transform == Transform::Log && value <= 0.0 {
                value = 0.5 * inside.0;
            }
            match self.excess(value, &inside.2) {
                Some((excess, _)) if excess >= 0.0 => return self.narrow(inside, (value, excess)),
                Some((excess, parameters)) => {
                    if at_edge {
                        return edge;
                    }
                    // A profile that keeps rising slowly is followed with longer steps.
                    step = if excess > 0.5 * inside.1 { step } else { 2.0 * step };
                    inside = (value, excess, parameters);
                }
                None => {
                    step *= 0.25;
                    if step <= 1e-12 * (inside.0.abs() + error) {
                        return inside.0;
                    }
                }
            }
        }
        sign * f64::INFINITY
    }

    /// The root between a point inside and one outside (Illinois' variant of regula falsi).
    fn narrow(&mut self, inside: (f64, f64, Vec<f64>), outside: (f64, f64)) -> f64 {
        let (mut a, mut fa, near) = inside;
        let (mut b, mut fb) = outside;
        for _ in 0..60 {
            let c = (a * fb - b * fa) / (fb - fa);
            if (b - a).abs() <= 1e-6 * (self.best.standard_errors[self.index] + 1e-12 * a.abs()) {
                return c;
            }
            let Some((fc, _)) = self.excess(c, &near) else { return a };
            if fc.abs() < 1e-6 * self.target {
                return c;
            }
            if fc * fb < 0.0 {
                (a, fa) = (b, fb);
            } else {
                fa *= 0.5;
            }
            (b, fb) = (c, fc);
        }
        b
    }
}

/// Profile interval of parameter `index` of a solved fit at a level such as 0.95.
pub fn profile_interval<P: Problem + ?Sized>(
    fit: &Fit<'_, P>,
    best: &FitResult,
    index: usize,
    level: f64,
) -> Result<Interval, FitError> {
    let value = best.parameters[index];
    if fit.parameters[index].fixed {
        return Ok(Interval { low: value, high: value });
    }
    let target = student_quantile(0.5 + 0.5 * level, best.freedom());
    if !best.standard_errors[index].is_finite() || !target.is_finite() {
        return Ok(Interval { low: f64::NEG_INFINITY, high: f64::INFINITY });
    }
    let mut held = fit.clone();
    held.parameters[index].fixed = true;
    held.free.retain(|&j| j != index);
    held.options = Options { polish: false, objective_tolerance: 1e-11, ..held.options };
    let mut profile = Profile { fit: held, best, index, target };
    Ok(Interval { low: profile.side(-1.0), high: profile.side(1.0) })
}

/// Profile intervals of all parameters.
pub fn profile_intervals<P: Problem + ?Sized>(
    fit: &Fit<'_, P>,
    best: &FitResult,
    level: f64,
) -> Result<Vec<Interval>, FitError> {
    (0..best.parameters.len()).map(|j| profile_interval(fit, best, j, level)).collect()
}
