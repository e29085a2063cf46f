//! IsoFLOP profiles: at each budget a parabola of loss over log₁₀ of the size, and power laws through
//! their minima.
//!
//! Hoffmann and others, *Training compute-optimal large language models*, 2022, approach 2. For each
//! budget loss = p₂x² + p₁x + p₀ by least squares in x = log₁₀ N (and apart in log₁₀ D), x* = −p₁/2p₂,
//! C the mean of the runs'. Then ln N* = ln A + a·ln C and ln D* = ln B + b·ln C, unweighted over the
//! budgets.

use super::optimum_law::{Optimum, OptimumLaw};
use super::power_law::{constant, positive};
use crate::FitError;
use crate::statistics::{Linear, Resample, distribution::student_quantile, enough, generator};
use rand::Rng;
use rayon::prelude::*;

/// A training run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Run {
    /// Label of the budget in FLOPs.
    pub budget: f64,
    /// Training FLOPs.
    pub flops: f64,
    /// Parameters N.
    pub params: f64,
    /// Training tokens D.
    pub tokens: f64,
    /// Loss.
    pub loss: f64,
    /// Weight, 1 unless rows stand for several.
    pub weight: f64,
}

/// A parabola and its minimum.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Parabola {
    /// Mean of x = log₁₀ of the size, about which the regression was made.
    pub centre: f64,
    /// Loss = c₀ + c₁(x − centre) + c₂(x − centre)².
    pub regression: Linear,
    /// Size at the minimum.
    pub optimum: f64,
    /// Standard error of log₁₀ of the optimum.
    pub log_optimum_error: f64,
    /// Loss at the minimum.
    pub loss: f64,
    /// Its standard error.
    pub loss_error: f64,
    /// Whether the minimum lies among the sizes tried.
    pub inside: bool,
}

impl Parabola {
    /// Half the width of an interval, in standard errors.
    fn quantile(&self, level: f64) -> f64 {
        student_quantile(0.5 + 0.5 * level, self.regression.freedom)
    }

    /// Interval of the optimal size, by the scatter of the runs about this parabola.
    pub fn optimum_interval(&self, level: f64) -> (f64, f64) {
        let factor = 10f64.powf(self.quantile(level) * self.log_optimum_error);
        if factor.is_nan() {
            return (0.0, f64::INFINITY);
        }
        (self.optimum / factor, self.optimum * factor)
    }

    /// Interval of the loss at the optimum, likewise.
    pub fn loss_interval(&self, level: f64) -> (f64, f64) {
        let half = self.quantile(level) * self.loss_error;
        if half.is_nan() {
            return (f64::NEG_INFINITY, f64::INFINITY);
        }
        (self.loss - half, self.loss + half)
    }

    /// Fits loss over log₁₀ of `sizes`. Needs three distinct sizes and a parabola that opens upward.
    pub fn fit(sizes: &[f64], losses: &[f64], weights: &[f64]) -> Result<Self, FitError> {
        let logs: Vec<f64> = sizes.iter().map(|s| s.log10()).collect();
        let centre = logs.iter().sum::<f64>() / logs.len().max(1) as f64;
        let first: Vec<f64> = logs.iter().map(|x| x - centre).collect();
        let second = first.iter().map(|x| x * x).collect();
        let regression = Linear::fit(&[vec![1.0; logs.len()], first, second], losses, Some(weights))?;
        let [p0, p1, p2] = [0, 1, 2].map(|j| regression.coefficients[j]);
        if let Some(loss) = constant(losses) {
            return Err(FitError::Data(format!("every run has loss {loss}: no optimum can be told from that")));
        }
        if p2.is_nan() || p2 <= 0.0 {
            return Err(FitError::Data(format!("the parabola opens downward (curvature {p2:.3e}): no optimum")));
        }
        let shift = -p1 / (2.0 * p2);
        let error = regression.variance_at(&Self::shift_gradient([p0, p1, p2])).sqrt();
        let (low, high) = logs.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), x| (l.min(*x), h.max(*x)));
        let log_optimum = centre + shift;
        Ok(Self {
            centre,
            optimum: 10f64.powf(log_optimum),
            log_optimum_error: error,
            loss: p0 + 0.5 * p1 * shift,
            // At the minimum the loss does not depend on where the minimum is.
            loss_error: regression.variance_at(&[1.0, shift, shift * shift]).sqrt(),
            inside: low <= log_optimum && log_optimum <= high,
            regression,
        })
    }

    /// Loss at a size.
    pub fn at(&self, size: f64) -> f64 {
        let x = size.log10() - self.centre;
        let c = &self.regression.coefficients;
        c[0] + x * (c[1] + x * c[2])
    }

    /// Derivatives of the minimum's place by the coefficients.
    fn shift_gradient([_, p1, p2]: [f64; 3]) -> [f64; 3] {
        [0.0, -1.0 / (2.0 * p2), p1 / (2.0 * p2 * p2)]
    }

    /// The size at the minimum as a point of a power law over compute, for runs of this variance.
    fn optimum_at(&self, flops: f64, noise: Noise) -> Optimum {
        let c = &self.regression.coefficients;
        let form = self.regression.form(&Self::shift_gradient([c[0], c[1], c[2]]));
        let variance = form * noise.variance * std::f64::consts::LN_10.powi(2);
        Optimum { flops, value: self.optimum, variance, freedom: noise.freedom }
    }

    /// The loss at the minimum likewise.
    fn loss_at(&self, flops: f64, noise: Noise) -> Optimum {
        let shift = self.optimum.log10() - self.centre;
        let variance = self.regression.form(&[1.0, shift, shift * shift]) * noise.variance / self.loss.powi(2);
        Optimum { flops, value: self.loss, variance, freedom: noise.freedom }
    }

    /// Coefficients p₂, p₁, p₀ about x = 0, as the paper states them.
    pub fn plain(&self) -> [f64; 3] {
        let (c, m) = (&self.regression.coefficients, self.centre);
        [c[2], c[1] - 2.0 * c[2] * m, c[0] - c[1] * m + c[2] * m * m]
    }
}

/// Variance of a run's loss about its parabola, and the degrees of freedom it is known by.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Noise {
    variance: f64,
    freedom: f64,
}

impl Noise {
    /// Fewer degrees of freedom than this say too little; then all budgets share one variance.
    const LEAST: usize = 3;

    fn of(parabolas: &[&Parabola]) -> Vec<Self> {
        let total: usize = parabolas.iter().map(|p| p.regression.freedom).sum();
        let squares: f64 = parabolas.iter().map(|p| p.regression.objective).sum();
        let pooled = parabolas.iter().any(|p| p.regression.freedom < Self::LEAST);
        let noise = |squares: f64, freedom: usize| Self {
            variance: if freedom > 0 { squares / freedom as f64 } else { f64::INFINITY },
            freedom: freedom as f64,
        };
        let own = |p: &&Parabola| noise(p.regression.objective, p.regression.freedom);
        parabolas.iter().map(|p| if pooled { noise(squares, total) } else { own(p) }).collect()
    }
}

/// The profile of one budget.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Profile {
    /// Label of the budget.
    pub budget: f64,
    /// Mean FLOPs of its runs.
    pub flops: f64,
    /// Sum of the weights.
    pub runs: f64,
    /// Over parameters.
    pub params: Parabola,
    /// Over tokens.
    pub tokens: Parabola,
}

/// Profiles, and the laws through their minima.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Isoflop {
    /// One a budget, in rising order.
    pub profiles: Vec<Profile>,
    /// Budgets left out of the laws.
    pub left_out: Vec<f64>,
    /// N*(C).
    pub params: OptimumLaw,
    /// D*(C).
    pub tokens: OptimumLaw,
    /// Loss at the optimum over C.
    pub loss: OptimumLaw,
}

/// Fits the profiles, and the laws over budgets within `range` (inclusive) of FLOPs.
pub fn fit(runs: &[Run], range: (f64, f64)) -> Result<Isoflop, FitError> {
    let profiles = profiles(runs)?;
    laws(profiles, range)
}

/// The profile of each budget.
pub fn profiles(runs: &[Run]) -> Result<Vec<Profile>, FitError> {
    for (name, values) in [
        ("parameters", runs.iter().map(|r| r.params).collect::<Vec<_>>()),
        ("tokens", runs.iter().map(|r| r.tokens).collect()),
        ("FLOPs", runs.iter().map(|r| r.flops).collect()),
        ("loss", runs.iter().map(|r| r.loss).collect()),
    ] {
        positive(name, &values)?;
    }
    let mut budgets: Vec<f64> = runs.iter().map(|r| r.budget).collect();
    budgets.sort_by(f64::total_cmp);
    budgets.dedup();
    budgets.into_iter().map(|budget| profile(budget, runs)).collect()
}

fn profile(budget: f64, runs: &[Run]) -> Result<Profile, FitError> {
    let group: Vec<&Run> = runs.iter().filter(|r| r.budget == budget).collect();
    let take = |f: fn(&Run) -> f64| group.iter().map(|r| f(r)).collect::<Vec<f64>>();
    let (losses, weights) = (take(|r| r.loss), take(|r| r.weight));
    let total: f64 = weights.iter().sum();
    let named = |e: FitError, over: &str| match e {
        FitError::TooFewPoints { points, .. } => FitError::Data(format!(
            "budget {budget:.3e}: a parabola over {over} needs 3 runs or more, there are {points}"
        )),
        e => FitError::Data(format!("budget {budget:.3e}, over {over}: {e}")),
    };
    Ok(Profile {
        budget,
        flops: group.iter().map(|r| r.weight * r.flops).sum::<f64>() / total,
        runs: total,
        params: Parabola::fit(&take(|r| r.params), &losses, &weights).map_err(|e| named(e, "parameters"))?,
        tokens: Parabola::fit(&take(|r| r.tokens), &losses, &weights).map_err(|e| named(e, "tokens"))?,
    })
}

/// The laws through the profiles' minima.
pub fn laws(profiles: Vec<Profile>, range: (f64, f64)) -> Result<Isoflop, FitError> {
    let inside = |p: &&Profile| p.flops >= range.0 && p.flops <= range.1;
    let used: Vec<&Profile> = profiles.iter().filter(inside).collect();
    if used.len() < 2 {
        return Err(FitError::Data(format!(
            "a power law needs 2 budgets or more within {:.2e} to {:.2e} FLOPs, there are {}",
            range.0,
            range.1,
            used.len()
        )));
    }
    let through = |over: fn(&Profile) -> &Parabola, optimum: fn(&Parabola, f64, Noise) -> Optimum| {
        let all: Vec<&Parabola> = used.iter().map(|p| over(p)).collect();
        let optima: Vec<Optimum> =
            used.iter().zip(Noise::of(&all)).map(|(p, noise)| optimum(over(p), p.flops, noise)).collect();
        let mut law = OptimumLaw::fit(&optima)?;
        // A variance that budgets share is one variance, not one each.
        law.runs_freedom = law.runs_freedom.min(all.iter().map(|p| p.regression.freedom).sum());
        Ok::<_, FitError>(law)
    };
    Ok(Isoflop {
        params: through(|p| &p.params, Parabola::optimum_at)?,
        tokens: through(|p| &p.tokens, Parabola::optimum_at)?,
        loss: through(|p| &p.params, Parabola::loss_at)?,
        left_out: profiles.iter().filter(|p| !inside(p)).map(|p| p.budget).collect(),
        profiles,
    })
}

impl Isoflop {
    /// The inverted law: compute, tokens and tokens per parameter at which a size is optimal.
    pub fn for_size(&self, params: f64) -> (f64, f64, f64) {
        let flops = self.params.inverse(params);
        let tokens = self.tokens.at(flops);
        (flops, tokens, tokens / params)
    }
}

/// The laws of one resampled set of runs, as (ln coefficient, exponent).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LawSample {
    /// N*(C).
    pub params: (f64, f64),
    /// D*(C).
    pub tokens: (f64, f64),
    /// Loss at the optimum.
    pub loss: (f64, f64),
}

/// Refits `count` resampled sets of runs, drawn within each budget; resamples without a parabola that
/// opens upward are left out. The same for any number of threads.
pub fn bootstrap(
    runs: &[Run],
    range: (f64, f64),
    resample: Resample,
    count: usize,
    seed: u64,
) -> Result<Vec<LawSample>, FitError> {
    enough(runs.len())?;
    let whole = fit(runs, range)?;
    let groups: Vec<(Vec<Run>, Vec<f64>)> = whole
        .profiles
        .iter()
        .map(|p| {
            let group: Vec<Run> = runs.iter().filter(|r| r.budget == p.budget).copied().collect();
            // Freed of the three coefficients' share, on average.
            let free = (group.len() as f64 / (group.len() as f64 - 3.0).max(1.0)).sqrt();
            let errors = group.iter().map(|r| free * (r.loss - p.params.at(r.params))).collect();
            (group, errors)
        })
        .collect();
    let samples = (0..count).into_par_iter().map(|index| {
        let mut random = generator(seed, index);
        let mut again = Vec::with_capacity(runs.len());
        for ((group, errors), profile) in groups.iter().zip(&whole.profiles) {
            for run in group {
                let drawn = random.random_range(0..group.len());
                again.push(match resample {
                    Resample::Cases => group[drawn],
                    Resample::Residuals => Run { loss: profile.params.at(run.params) + errors[drawn], ..*run },
                });
            }
        }
        let law = fit(&again, range).ok()?;
        let pair = |l: &OptimumLaw| (l.line.coefficient.ln(), l.line.exponent);
        Some(LawSample { params: pair(&law.params), tokens: pair(&law.tokens), loss: pair(&law.loss) })
    });
    Ok(samples.collect::<Vec<_>>().into_iter().flatten().collect())
}
