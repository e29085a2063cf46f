//! L(N, D) = E + (A·N^−α + B·D^−β)^γ, fitted in logarithms.
//!
//! Hoffmann and others, *Training compute-optimal large language models*, 2022 (γ = 1); the exponent γ
//! after Busbridge and others, *Distillation scaling laws*, 2025. With E = e^e, A = e^a, B = e^b and
//! LSE(x, y) = ln(e^x + e^y): ln L = LSE(γ·LSE(a − α ln N, b − β ln D), e). The objective is
//! Σ Huber_δ(ln L_measured − ln L).

use crate::FitError;
use crate::fit::{Fit, FitResult, Parameter};
use crate::multistart::{Effort, MultiResult, grid, result_at, solve_many};
use crate::number::Real;
use crate::problem::{Automatic, Model};
use crate::solver::{Loss, Options};

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
            effort: Effort::default(),
        }
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
    for (name, values) in [("parameters", params), ("tokens", tokens), ("loss", loss)] {
        if let Some((i, v)) = values.iter().enumerate().find(|(_, v)| !(v.is_finite() && **v > 0.0)) {
            return Err(FitError::Data(format!("{name} of run {}: {v} has no logarithm", i + 1)));
        }
    }
    let ln = |values: &[f64]| values.iter().map(|v| v.ln()).collect::<Vec<_>>();
    let plain = LossSurface { ln_params: ln(params), ln_tokens: ln(tokens), ln_loss: ln(loss) };
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len().max(1) as f64;
    let (by_params, by_tokens) = (mean(&plain.ln_params), mean(&plain.ln_tokens));
    // About the centre of the data the amplitudes and exponents are nearly independent; about ln N = 0,
    // which is far outside, they move together and the search creeps.
    let centred = Automatic(plain.shifted(by_params, by_tokens));
    let inward = |p: &[f64]| vec![p[0] - p[3] * by_params, p[1] - p[4] * by_tokens, p[2], p[3], p[4], p[5]];
    let outward = |p: &[f64]| vec![p[0] + p[3] * by_params, p[1] + p[4] * by_tokens, p[2], p[3], p[4], p[5]];
    let mut axes = settings.grid.clone();
    if !settings.free_gamma {
        axes[5] = vec![1.0];
    }
    let starts: Vec<Vec<f64>> = grid(&axes).iter().map(|p| inward(p)).collect();
    let options = Options { loss: Loss::Huber(settings.huber_delta), ..Options::default() };
    let state = |values: &[f64]| -> Vec<Parameter> {
        let mut list: Vec<Parameter> = NAMES.iter().zip(values).map(|(n, v)| Parameter::new(*n, *v)).collect();
        list[5].fixed = !settings.free_gamma;
        list
    };
    let first = starts.first().ok_or_else(|| FitError::Data("no starts".into()))?;
    let problem = with_weights(Fit::new(&centred, state(first))?.options(options.clone()), weights)?;
    let mut found = solve_many(&problem, &starts, settings.effort)?;
    for minimum in &mut found.minima {
        minimum.parameters = outward(&minimum.parameters);
    }
    let outside = Automatic(&plain);
    let end = outward(&found.best.parameters);
    let plain_fit = Fit::new(&outside, state(&end))?.options(options).observations(plain.ln_loss.clone());
    let (evaluations, iterations) = (found.best.residual_evaluations, found.best.iterations);
    found.best = FitResult {
        residual_evaluations: evaluations,
        iterations,
        ..result_at(&with_weights(plain_fit, weights)?, &end, found.best.outcome)?
    };
    Ok(found)
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
