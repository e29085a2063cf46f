//! A power law through estimated optima, with errors that know where the optima come from.
//!
//! Least squares through a handful of optima says how far they lie from a straight line. That alone can
//! be far too little: four optima may fall on a line by chance although each is known to a few percent
//! only. The noise of the runs alone can be too little as well: optima may scatter for other reasons, a
//! learning rate that suits one budget better than another. So both are computed, and every interval is
//! the wider of the two. In simulation (`tests/optima.rs`) it holds the truth at least as often as it
//! says, whichever of the two causes prevails.

use super::power_law::PowerLaw;
use crate::FitError;
use crate::statistics::distribution::student_quantile;

/// An optimum: compute, value there, variance of ln value by the noise of the runs, and the degrees of
/// freedom by which that variance is known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Optimum {
    /// FLOPs.
    pub flops: f64,
    /// Size, tokens or loss.
    pub value: f64,
    /// Variance of ln value.
    pub variance: f64,
    /// Degrees of freedom of the variance.
    pub freedom: f64,
}

/// ln y = ln A + p·ln C through optima, unweighted, as the paper fits it.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct OptimumLaw {
    /// The law; its own errors come from the scatter of the optima about it.
    pub line: PowerLaw,
    /// Covariance of (ln value at the centre, exponent) by the noise of the runs alone, by columns.
    pub runs_covariance: [f64; 4],
    /// Degrees of freedom of that covariance (Satterthwaite's), the smaller of those of its two variances.
    pub runs_freedom: usize,
}

impl OptimumLaw {
    /// Fits the law. Needs two optima; with two its errors are infinite.
    pub fn fit(optima: &[Optimum]) -> Result<Self, FitError> {
        let take = |f: fn(&Optimum) -> f64| optima.iter().map(f).collect::<Vec<f64>>();
        let line = PowerLaw::fit(&take(|o| o.flops), &take(|o| o.value), None)?;
        // Both coefficients are sums of the ln values with these factors.
        let count = optima.len() as f64;
        let distances: Vec<f64> = optima.iter().map(|o| o.flops.ln() - line.centre).collect();
        let square: f64 = distances.iter().map(|d| d * d).sum();
        let mut covariance = [0.0; 4];
        let mut quarters = [0.0; 2];
        for (optimum, distance) in optima.iter().zip(&distances) {
            let factors = [1.0 / count, distance / square];
            for (k, slot) in covariance.iter_mut().enumerate() {
                *slot += factors[k / 2] * factors[k % 2] * optimum.variance;
            }
            for (quarter, factor) in quarters.iter_mut().zip(factors) {
                *quarter += (factor * factor * optimum.variance).powi(2) / optimum.freedom;
            }
        }
        let freedom = [0, 1].map(|k| if quarters[k] > 0.0 { covariance[3 * k].powi(2) / quarters[k] } else { 1e6 });
        let least = freedom[0].min(freedom[1]);
        Ok(Self { line, runs_covariance: covariance, runs_freedom: if least.is_finite() { least as usize } else { 0 } })
    }

    /// The exponent.
    pub fn exponent(&self) -> f64 {
        self.line.exponent
    }

    /// Standard error of the exponent: the larger of the two.
    pub fn exponent_error(&self) -> f64 {
        self.line.exponent_error.max(self.runs_covariance[3].sqrt())
    }

    /// Interval of the exponent.
    pub fn exponent_interval(&self, level: f64) -> (f64, f64) {
        let q = |freedom: usize| student_quantile(0.5 + 0.5 * level, freedom);
        let half = wider(
            q(self.line.line.freedom) * self.line.exponent_error,
            q(self.runs_freedom) * self.runs_covariance[3].sqrt(),
        );
        (self.line.exponent - half, self.line.exponent + half)
    }

    /// Interval of the coefficient, the value of the law at C = 1.
    pub fn coefficient_interval(&self, level: f64) -> (f64, f64) {
        let (middle, half) = (self.line.coefficient, self.half_width(-self.line.centre, level));
        (middle * (-half).exp(), middle * half.exp())
    }

    /// y at x.
    pub fn at(&self, x: f64) -> f64 {
        self.line.at(x)
    }

    /// x at y.
    pub fn inverse(&self, y: f64) -> f64 {
        self.line.inverse(y)
    }

    /// Interval of the law (not of a new optimum) at x.
    pub fn interval(&self, x: f64, level: f64) -> (f64, f64) {
        let (middle, half) = (self.at(x), self.half_width(x.ln() - self.line.centre, level));
        (middle * (-half).exp(), middle * half.exp())
    }

    /// Half the width of the interval of ln y, `distance` from the centre in ln x.
    fn half_width(&self, distance: f64, level: f64) -> f64 {
        let quantile = |freedom: usize| student_quantile(0.5 + 0.5 * level, freedom);
        let [a, b, c, d] = self.runs_covariance;
        let runs = (a + (b + c) * distance + d * distance * distance).max(0.0);
        let line = self.line.line.variance_at(&[1.0, distance]);
        wider(quantile(self.line.line.freedom) * line.sqrt(), quantile(self.runs_freedom) * runs.sqrt())
    }
}

/// The larger, and infinity where one is not known.
pub(crate) fn wider(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() { f64::INFINITY } else { a.max(b) }
}
