//! The bootstrap: refits of resampled data, by cases or by residuals.
//!
//! Residuals are freed of their leverage (divided by √(1 − h)) and centred before they are drawn.
//! Studentised intervals divide each refit's deviation by its own standard error (Davison and Hinkley,
//! *Bootstrap Methods and their Application*, 1997).

use super::distribution::sample_quantile;
use super::profile::Interval;
use crate::FitError;
use crate::fit::{Fit, FitResult};
use crate::problem::Problem;
use crate::solver::Options;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rayon::prelude::*;

/// Fewer points than this only repeat themselves.
pub const MIN_POINTS: usize = 8;

/// What is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Resample {
    /// Whole points, with replacement.
    Cases,
    /// Residuals, added to the fitted values.
    #[default]
    Residuals,
}

/// The refits.
#[derive(Debug, Clone, PartialEq)]
pub struct Bootstrap {
    /// Parameters of each refit that succeeded.
    pub samples: Vec<Vec<f64>>,
    /// Their standard errors.
    pub errors: Vec<Vec<f64>>,
    /// Refits that did not converge.
    pub failed: usize,
    estimate: Vec<f64>,
    estimate_errors: Vec<f64>,
}

/// The generator of one refit: independent of how refits are spread over threads.
pub(crate) fn generator(seed: u64, index: usize) -> StdRng {
    StdRng::seed_from_u64(seed ^ (index as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15))
}

/// Refuses fewer than [`MIN_POINTS`].
pub(crate) fn enough(points: usize) -> Result<(), FitError> {
    if points < MIN_POINTS {
        return Err(FitError::TooFewForBootstrap { points, needed: MIN_POINTS });
    }
    Ok(())
}

/// Refits `count` resampled data sets from the solution, in parallel; the same for any number of threads.
pub fn bootstrap<P: Problem + ?Sized>(
    fit: &Fit<'_, P>,
    best: &FitResult,
    resample: Resample,
    count: usize,
    seed: u64,
) -> Result<Bootstrap, FitError> {
    enough(best.points)?;
    let m = fit.problem.residual_count();
    let roots: Vec<f64> = if fit.roots.is_empty() { vec![1.0; m] } else { fit.roots.clone() };
    let used: Vec<usize> = (0..m).filter(|&i| roots[i] > 0.0).collect();
    let errors = free_of_leverage(best, &used, m);
    let options = Options { polish: false, objective_tolerance: 1e-10, ..fit.options.clone() };
    let refits: Vec<Option<(Vec<f64>, Vec<f64>)>> = (0..count)
        .into_par_iter()
        .map(|index| {
            let mut random = generator(seed, index);
            let mut again = fit.clone();
            again.options = options.clone();
            match resample {
                Resample::Cases => {
                    let mut counts = vec![0.0; m];
                    for _ in &used {
                        counts[used[random.random_range(0..used.len())]] += 1.0;
                    }
                    again.roots = roots.iter().zip(&counts).map(|(r, c)| r * f64::sqrt(*c)).collect();
                }
                Resample::Residuals => {
                    let mut offsets = vec![0.0; m];
                    for &i in &used {
                        let drawn = errors[random.random_range(0..errors.len())];
                        let before = if fit.offsets.is_empty() { 0.0 } else { fit.offsets[i] };
                        offsets[i] = before + (drawn - best.residuals[i]) / roots[i];
                    }
                    again.offsets = offsets;
                }
            }
            let result = again.solve_from(&best.parameters).ok()?;
            let sound = result.outcome.converged() && result.parameters.iter().all(|p| p.is_finite());
            sound.then_some((result.parameters, result.standard_errors))
        })
        .collect();
    let (samples, errors): (Vec<_>, Vec<_>) = refits.into_iter().flatten().unzip();
    Ok(Bootstrap {
        failed: count - samples.len(),
        samples,
        errors,
        estimate: best.parameters.clone(),
        estimate_errors: best.standard_errors.clone(),
    })
}

/// Weighted residuals over √(1 − leverage), centred.
fn free_of_leverage(best: &FitResult, used: &[usize], m: usize) -> Vec<f64> {
    let n = best.free.len();
    let mut errors: Vec<f64> = used
        .iter()
        .map(|&i| {
            let mut leverage = 0.0;
            for a in 0..n {
                for b in 0..n {
                    leverage +=
                        best.jacobian[a * m + i] * best.information.inverse[a * n + b] * best.jacobian[b * m + i];
                }
            }
            // A point that determines a parameter alone has no residual to free.
            best.residuals[i] / (1.0 - leverage).max(0.05).sqrt()
        })
        .collect();
    let mean = errors.iter().sum::<f64>() / errors.len().max(1) as f64;
    errors.iter_mut().for_each(|e| *e -= mean);
    errors
}

impl Bootstrap {
    /// Quantiles of the refits themselves.
    pub fn percentile(&self, index: usize, level: f64) -> Interval {
        let mut values: Vec<f64> = self.samples.iter().map(|s| s[index]).collect();
        let tail = 0.5 - 0.5 * level;
        Interval { low: sample_quantile(&mut values, tail), high: sample_quantile(&mut values, 1.0 - tail) }
    }

    /// Studentised interval.
    pub fn studentised(&self, index: usize, level: f64) -> Interval {
        let (value, error) = (self.estimate[index], self.estimate_errors[index]);
        let mut ratios: Vec<f64> = self
            .samples
            .iter()
            .zip(&self.errors)
            .map(|(s, e)| (s[index] - value) / e[index])
            .filter(|r| r.is_finite())
            .collect();
        let tail = 0.5 - 0.5 * level;
        let (low, high) = (sample_quantile(&mut ratios, tail), sample_quantile(&mut ratios, 1.0 - tail));
        Interval { low: value - high * error, high: value - low * error }
    }
}
