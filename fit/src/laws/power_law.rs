//! y = A·x^p, and y = A·x^p + c.

use crate::FitError;
use crate::fit::{Fit, FitResult, Parameter};
use crate::multistart::{Effort, solve_many};
use crate::number::Real;
use crate::problem::{Automatic, Model, Problem};
use crate::statistics::{Linear, distribution::student_quantile};

/// A power law without offset: ln y = ln A + p·ln x by (weighted) least squares.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct PowerLaw {
    /// A.
    pub coefficient: f64,
    /// p.
    pub exponent: f64,
    /// Standard error of ln A.
    pub ln_coefficient_error: f64,
    /// Standard error of p.
    pub exponent_error: f64,
    /// The regression about the centre of ln x.
    pub line: Linear,
    /// Mean of ln x, about which the line was fitted.
    pub centre: f64,
}

/// Checks that logarithms exist.
pub(crate) fn positive(name: &str, values: &[f64]) -> Result<(), FitError> {
    match values.iter().position(|v| !(v.is_finite() && *v > 0.0)) {
        Some(i) => Err(FitError::Data(format!("{name}, point {}: {} has no logarithm", i + 1, values[i]))),
        None => Ok(()),
    }
}

/// The one value that all have, if they do.
pub(crate) fn constant(values: &[f64]) -> Option<f64> {
    values.first().copied().filter(|first| values.iter().all(|v| v == first))
}

impl PowerLaw {
    /// Fits the law to positive data.
    pub fn fit(x: &[f64], y: &[f64], weights: Option<&[f64]>) -> Result<Self, FitError> {
        positive("x", x)?;
        positive("y", y)?;
        if let Some(value) = constant(y).filter(|_| y.len() > 2) {
            return Err(FitError::Data(format!("y is {value} at every point: no power law can be told from it")));
        }
        let total: f64 = weights.map_or(x.len() as f64, |w| w.iter().sum());
        let centre = x.iter().enumerate().map(|(i, v)| weights.map_or(1.0, |w| w[i]) * v.ln()).sum::<f64>() / total;
        let ones = vec![1.0; x.len()];
        let logs: Vec<f64> = x.iter().map(|v| v.ln() - centre).collect();
        let targets: Vec<f64> = y.iter().map(|v| v.ln()).collect();
        let line = Linear::fit(&[ones, logs], &targets, weights)?;
        let exponent = line.coefficients[1];
        Ok(Self {
            coefficient: (line.coefficients[0] - exponent * centre).exp(),
            exponent,
            ln_coefficient_error: line.variance_at(&[1.0, -centre]).sqrt(),
            exponent_error: line.standard_errors[1],
            centre,
            line,
        })
    }

    /// y at x.
    pub fn at(&self, x: f64) -> f64 {
        (self.line.coefficients[0] + self.exponent * (x.ln() - self.centre)).exp()
    }

    /// x at y.
    pub fn inverse(&self, y: f64) -> f64 {
        ((y.ln() - self.line.coefficients[0]) / self.exponent + self.centre).exp()
    }

    /// The interval of the exponent.
    pub fn exponent_interval(&self, level: f64) -> (f64, f64) {
        let half = student_quantile(0.5 + 0.5 * level, self.line.freedom) * self.exponent_error;
        if half.is_nan() {
            return (f64::NEG_INFINITY, f64::INFINITY);
        }
        (self.exponent - half, self.exponent + half)
    }

    /// The interval of the coefficient A.
    pub fn coefficient_interval(&self, level: f64) -> (f64, f64) {
        let half = student_quantile(0.5 + 0.5 * level, self.line.freedom) * self.ln_coefficient_error;
        if half.is_nan() {
            return (0.0, f64::INFINITY);
        }
        (self.coefficient * (-half).exp(), self.coefficient * half.exp())
    }

    /// The interval of the law (not of a new point) at x, at this level of confidence.
    pub fn interval(&self, x: f64, level: f64) -> (f64, f64) {
        let half = student_quantile(0.5 + 0.5 * level, self.line.freedom)
            * self.line.variance_at(&[1.0, x.ln() - self.centre]).sqrt();
        let middle = self.at(x);
        (middle * (-half).exp(), middle * half.exp())
    }
}

/// y = A·x^p + c in the least squares of y itself, or of ln y.
struct WithOffset<'a> {
    x: &'a [f64],
    y: &'a [f64],
    /// Mean of ln x: A is fitted as the value there.
    centre: f64,
    logarithmic: bool,
}

impl Model for WithOffset<'_> {
    fn parameter_count(&self) -> usize {
        3
    }
    fn point_count(&self) -> usize {
        self.y.len()
    }
    fn residual<T: Real>(&self, point: usize, p: &[T]) -> T {
        let value = p[0] * (p[1] * (self.x[point].ln() - self.centre)).exp() + p[2];
        if self.logarithmic { value.ln() - self.y[point].ln() } else { value - self.y[point] }
    }
}

/// A power law with offset: parameters `value at the centre`, `exponent`, `offset`.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct OffsetLaw {
    /// A.
    pub coefficient: f64,
    /// p.
    pub exponent: f64,
    /// c.
    pub offset: f64,
    /// The fit; its first parameter is A·e^(p·centre).
    pub result: FitResult,
    /// Mean of ln x.
    pub centre: f64,
}

impl OffsetLaw {
    /// Fits from many starts. `logarithmic` weighs relative errors and needs positive y.
    pub fn fit(x: &[f64], y: &[f64], weights: Option<&[f64]>, logarithmic: bool) -> Result<Self, FitError> {
        Self::fit_and(x, y, weights, logarithmic, |_, _| Ok(())).map(|(law, ())| law)
    }

    /// The same, and what `examine` makes of the solved fit: intervals need the problem itself.
    pub fn fit_and<T>(
        x: &[f64],
        y: &[f64],
        weights: Option<&[f64]>,
        logarithmic: bool,
        examine: impl FnOnce(&Fit<'_, dyn Problem + '_>, &FitResult) -> Result<T, FitError>,
    ) -> Result<(Self, T), FitError> {
        positive("x", x)?;
        if logarithmic {
            positive("y", y)?;
        }
        let centre = x.iter().map(|v| v.ln()).sum::<f64>() / x.len().max(1) as f64;
        if let Some(value) = constant(y) {
            return Err(FitError::Data(format!("y is {value} at every point: no power law can be told from it")));
        }
        let (low, high) = y.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(*v), h.max(*v)));
        let model = Automatic(WithOffset { x, y, centre, logarithmic });
        let names = ["value_at_centre", "exponent", "offset"];
        let mut starts = Vec::new();
        for exponent in [-2.0, -1.0, -0.5, -0.2, -0.05, 0.05, 0.2, 0.5, 1.0, 2.0] {
            for part in [0.0, 0.5, 0.9, 0.99] {
                let offset = low * part;
                starts.push(vec![0.5 * (low + high) - offset, exponent, offset]);
            }
        }
        let parameters = names.iter().zip(&starts[0]).map(|(n, v)| Parameter::new(*n, *v)).collect();
        let problem: &dyn Problem = &model;
        let mut fit = Fit::new(problem, parameters)?.observations(if logarithmic {
            y.iter().map(|v| v.ln()).collect()
        } else {
            y.to_vec()
        });
        if let Some(weights) = weights {
            fit = fit.weights(weights)?;
        }
        let result = solve_many(&fit, &starts, Effort { screening: 20, finalists: 10 })?.best;
        let examined = examine(&fit, &result)?;
        let [amplitude, exponent, offset] = [0, 1, 2].map(|j| result.parameters[j]);
        let coefficient = amplitude * (-exponent * centre).exp();
        Ok((Self { coefficient, exponent, offset, result, centre }, examined))
    }

    /// y at x.
    pub fn at(&self, x: f64) -> f64 {
        self.coefficient * x.powf(self.exponent) + self.offset
    }
}
