//! L(N, D) = E + (A·N^−α + B·D^−β)^γ, fitted in logarithms.
//!
//! Hoffmann and others, *Training compute-optimal large language models*, 2022 (γ = 1); the exponent γ
//! after Busbridge and others, *Distillation scaling laws*, 2025. With E = e^e, A = e^a, B = e^b and
//! LSE(x, y) = ln(e^x + e^y): ln L = LSE(γ·LSE(a − α ln N, b − β ln D), e). The objective is
//! Σ Huber_δ(ln L_measured − ln L).

use crate::FitError;
use crate::fit::{Fit, FitResult, Parameter};
use crate::multistart::{Effort, MultiResult, finish, grid, low_discrepancy, result_at, solve_many};
use crate::number::Real;
use crate::problem::{Automatic, Model};
use crate::solver::{Loss, Options};
use crate::statistics::{enough, generator};
use rand::Rng;
use rayon::prelude::*;

/// Names of the parameters in their order.
pub const NAMES: [&str; 6] = ["a", "b", "e", "alpha", "beta", "gamma"];

/// The model over measured runs.
#[derive(Debug, Clone)]
pub struct LossSurface {
    /// ln N less its centre.
    ln_params: Vec<f64>,
    /// ln D less its centre.
    ln_tokens: Vec<f64>,
    ln_loss: Vec<f64>,
}

impl LossSurface {
    /// The law's parameters `[a, b, e, α, β, γ]` give ln L at logarithms of N and D.
    pub fn ln_loss<T: Real>(ln_params: f64, ln_tokens: f64, p: &[T]) -> T {
        let reducible = (p[0] - p[3] * ln_params).log_add_exp(p[1] - p[4] * ln_tokens);
        (p[5] * reducible).log_add_exp(p[2])
    }

    fn shifted(&self, by_params: f64, by_tokens: f64) -> Self {
        Self {
            ln_params: self.ln_params.iter().map(|v| v - by_params).collect(),
            ln_tokens: self.ln_tokens.iter().map(|v| v - by_tokens).collect(),
            ln_loss: self.ln_loss.clone(),
        }
    }
}

impl Model for LossSurface {
    fn parameter_count(&self) -> usize {
        6
    }
    fn point_count(&self) -> usize {
        self.ln_loss.len()
    }
    fn residual<T: Real>(&self, point: usize, parameters: &[T]) -> T {
        Self::ln_loss(self.ln_params[point], self.ln_tokens[point], parameters) - self.ln_loss[point]
    }
}

/// How to fit.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Scale δ of the Huber loss.
    pub huber_delta: f64,
    /// Fits γ; else it is 1.
    pub free_gamma: bool,
    /// Values of a, b, e, α, β, γ whose combinations are the starts.
    pub grid: Vec<Vec<f64>>,
    /// So many points spread over the grid's box instead, from this seed.
    pub spread: Option<(usize, u64)>,
    /// Work per start.
    pub effort: Effort,
}

impl Default for Settings {
    /// δ = 1e-3, γ free, the published grid of 8000 starts.
    fn default() -> Self {
        let coarse = vec![0.0, 5.0, 10.0, 15.0, 20.0];
        let exponent = vec![0.0, 0.2, 0.5, 1.0];
        Self {
            huber_delta: 1e-3,
            free_gamma: true,
            grid: vec![
                coarse.clone(),
                coarse,
                vec![-1.0, -0.5, 0.0, 0.5, 1.0],
                exponent.clone(),
                exponent,
                vec![0.0, 0.5, 1.0, 1.5],
            ],
            spread: None,
            effort: Effort::default(),
        }
    }
}

impl Settings {
    /// The starts, in the law's own parameters.
    fn starts(&self) -> Vec<Vec<f64>> {
        let mut axes = self.grid.clone();
        if !self.free_gamma {
            axes[5] = vec![1.0];
        }
        let Some((count, seed)) = self.spread else { return grid(&axes) };
        let range =
            |axis: &[f64]| axis.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(*v), h.max(*v)));
        let ranges: Vec<(f64, f64)> = axes.iter().map(|a| range(a)).collect();
        let mut random = generator(seed, 0);
        // One random shift of an evenly spread set.
        let shift: Vec<f64> = ranges.iter().map(|_| random.random()).collect();
        low_discrepancy(count.max(1), axes.len())
            .into_iter()
            .map(|unit| {
                let place = unit.iter().zip(&shift).zip(&ranges);
                place.map(|((u, s), (low, high))| low + (high - low) * (u + s).fract()).collect()
            })
            .collect()
    }

    fn options(&self) -> Options {
        Options { loss: Loss::Huber(self.huber_delta), ..Options::default() }
    }

    fn parameters(&self, values: &[f64]) -> Vec<Parameter> {
        let mut list: Vec<Parameter> = NAMES.iter().zip(values).map(|(n, v)| Parameter::new(*n, *v)).collect();
        list[5].fixed = !self.free_gamma;
        list
    }
}

/// The model about the centre of the data. There the amplitudes and exponents are nearly independent; about
/// ln N = 0, which is far outside, they move together and the search creeps.
struct Centred {
    plain: LossSurface,
    by_params: f64,
    by_tokens: f64,
}

impl Centred {
    fn new(params: &[f64], tokens: &[f64], loss: &[f64]) -> Result<Self, FitError> {
        for (name, values) in [("parameters", params), ("tokens", tokens), ("loss", loss)] {
            if let Some((i, v)) = values.iter().enumerate().find(|(_, v)| !(v.is_finite() && **v > 0.0)) {
                return Err(FitError::Data(format!("{name} of run {}: {v} has no logarithm", i + 1)));
            }
            if values.len() > 1 && values.iter().all(|v| *v == values[0]) {
                return Err(FitError::Data(format!(
                    "{name}: every run has {}; a surface needs runs that differ",
                    values[0]
                )));
            }
        }
        let ln = |values: &[f64]| values.iter().map(|v| v.ln()).collect::<Vec<_>>();
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len().max(1) as f64;
        let plain = LossSurface { ln_params: ln(params), ln_tokens: ln(tokens), ln_loss: ln(loss) };
        Ok(Self { by_params: mean(&plain.ln_params), by_tokens: mean(&plain.ln_tokens), plain })
    }

    fn model(&self) -> Automatic<LossSurface> {
        Automatic(self.plain.shifted(self.by_params, self.by_tokens))
    }

    fn inward(&self, p: &[f64]) -> Vec<f64> {
        vec![p[0] - p[3] * self.by_params, p[1] - p[4] * self.by_tokens, p[2], p[3], p[4], p[5]]
    }

    fn outward(&self, p: &[f64]) -> Vec<f64> {
        vec![p[0] + p[3] * self.by_params, p[1] + p[4] * self.by_tokens, p[2], p[3], p[4], p[5]]
    }
}

/// Fits the surface to runs of N parameters, D tokens, loss in nats per token, with optional weights.
/// The `objective` of the result is twice the summed Huber loss, as everywhere in this crate.
pub fn fit(
    params: &[f64],
    tokens: &[f64],
    loss: &[f64],
    weights: Option<&[f64]>,
    settings: &Settings,
) -> Result<MultiResult, FitError> {
    let centred = Centred::new(params, tokens, loss)?;
    let model = centred.model();
    let starts: Vec<Vec<f64>> = settings.starts().iter().map(|p| centred.inward(p)).collect();
    let first = starts.first().ok_or_else(|| FitError::Data("no starts".into()))?;
    let problem = with_weights(Fit::new(&model, settings.parameters(first))?.options(settings.options()), weights)?;
    let mut found = solve_many(&problem, &starts, settings.effort)?;
    for minimum in &mut found.minima {
        minimum.parameters = centred.outward(&minimum.parameters);
    }
    let outside = Automatic(&centred.plain);
    let end = centred.outward(&found.best.parameters);
    let observed = centred.plain.ln_loss.clone();
    let plain_fit = Fit::new(&outside, settings.parameters(&end))?.options(settings.options()).observations(observed);
    let FitResult { iterations, residual_evaluations, jacobian_evaluations, .. } = found.best;
    found.best = FitResult {
        iterations,
        residual_evaluations,
        jacobian_evaluations,
        ..result_at(&with_weights(plain_fit, weights)?, &end, found.best.outcome)?
    };
    Ok(found)
}

/// Parameters of `count` refits to runs drawn anew with replacement, each from the solution; the same for
/// any number of threads. Draws that do not determine the law are left out.
pub fn bootstrap(
    runs: [&[f64]; 3],
    weights: Option<&[f64]>,
    settings: &Settings,
    best: &FitResult,
    count: usize,
    seed: u64,
) -> Result<Vec<Vec<f64>>, FitError> {
    let [params, tokens, loss] = runs;
    let used: Vec<usize> = (0..loss.len()).filter(|&i| weights.is_none_or(|w| w[i] > 0.0)).collect();
    enough(used.len())?;
    let centred = Centred::new(params, tokens, loss)?;
    let model = centred.model();
    let start = centred.inward(&best.parameters);
    // The exact minimiser does the work; what comes before only gets it near.
    let options = Options { max_evaluations: 30, polish: false, ..settings.options() };
    let fit = Fit::new(&model, settings.parameters(&start))?.options(options);
    let samples = (0..count).into_par_iter().map(|index| {
        let mut random = generator(seed, index);
        let mut drawn = vec![0.0; loss.len()];
        for _ in &used {
            let run = used[random.random_range(0..used.len())];
            drawn[run] += weights.map_or(1.0, |w| w[run]);
        }
        let again = fit.clone().weights(&drawn).ok()?;
        let (_, coordinates, outcome) = finish(&again, again.search_from(&start).ok()?);
        let sample = centred.outward(&again.reduced().outward(&coordinates));
        (outcome.converged() && sample.iter().all(|v| v.is_finite())).then_some(sample)
    });
    Ok(samples.collect::<Vec<_>>().into_iter().flatten().collect())
}

fn with_weights<'a, M: Model>(
    fit: Fit<'a, Automatic<M>>,
    weights: Option<&[f64]>,
) -> Result<Fit<'a, Automatic<M>>, FitError> {
    match weights {
        Some(weights) => fit.weights(weights),
        None => Ok(fit),
    }
}
