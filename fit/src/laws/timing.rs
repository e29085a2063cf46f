//! Inference times from the roofline: work over an effective rate, plus constants.
//!
//! τ = combine(FLOPs/α, bytes/β) + ε + batch·ε_B. A prefill (time to first token) is bound by compute,
//! τ = FLOPs/α + ε; a generation step by memory, τ = bytes/β + ε + batch·ε_B. Sum, maximum and smooth
//! maximum (1/ρ)·ln(½(e^ρx + e^ρy)) of the two times are for what lies between.

use crate::FitError;
use crate::fit::{Fit, FitResult, Parameter};
use crate::multistart::{Effort, grid, solve_many};
use crate::number::Real;
use crate::problem::{Automatic, Model, Problem};

/// Names of the parameters: FLOP/s, byte/s, s, s a sequence.
pub const NAMES: [&str; 4] = ["alpha_eff", "beta_eff", "eps_s", "eps_batch_s"];

/// How compute and memory time combine.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Roofline {
    /// FLOPs/α alone.
    Compute,
    /// bytes/β alone.
    Memory,
    /// Both, one after the other.
    Sum,
    /// The longer of the two.
    Max,
    /// A smooth maximum with sharpness ρ in 1/s.
    SmoothMax(f64),
}

/// What is squared.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Residual {
    /// ln τ̂ − ln τ: relative errors, the sound choice for times over three decades.
    Logarithm,
    /// τ̂ − τ in milliseconds.
    Milliseconds,
    /// Huber_δ(τ̂ − τ) in milliseconds, which is then squared: what the published fits did by handing an
    /// already transformed residual to least squares. Only to reproduce their digits.
    SquaredHuber(f64),
}

impl std::fmt::Display for Roofline {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Compute => f.write_str("FLOPs/alpha + eps"),
            Self::Memory => f.write_str("bytes/beta + eps"),
            Self::Sum => f.write_str("FLOPs/alpha + bytes/beta + eps"),
            Self::Max => f.write_str("the larger of FLOPs/alpha and bytes/beta, + eps"),
            Self::SmoothMax(rho) => write!(f, "smooth maximum ({rho}/s) of FLOPs/alpha and bytes/beta, + eps"),
        }
    }
}

impl std::fmt::Display for Residual {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Logarithm => f.write_str("least squares of logarithms"),
            Self::Milliseconds => f.write_str("least squares of milliseconds"),
            Self::SquaredHuber(delta) => write!(f, "squares of Huber's function of milliseconds, delta {delta}"),
        }
    }
}

/// A measured time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Timing {
    /// FLOPs of the call.
    pub flops: f64,
    /// Bytes of the call.
    pub bytes: f64,
    /// Sequences.
    pub batch: f64,
    /// Seconds.
    pub seconds: f64,
    /// Weight.
    pub weight: f64,
}

/// What to fit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// Combination of the times.
    pub roofline: Roofline,
    /// Fits ε_B; else it is 0.
    pub per_sequence: bool,
    /// What is squared.
    pub residual: Residual,
}

impl Settings {
    /// Time to first token: compute-bound, no ε_B, logarithms.
    pub fn first_token() -> Self {
        Self { roofline: Roofline::Compute, per_sequence: false, residual: Residual::Logarithm }
    }

    /// Generation step: memory-bound with ε_B, logarithms.
    pub fn step() -> Self {
        Self { roofline: Roofline::Memory, per_sequence: true, residual: Residual::Logarithm }
    }
}

struct Times<'a> {
    data: &'a [Timing],
    settings: Settings,
}

/// Seconds predicted by parameters α, β, ε, ε_B.
pub fn seconds<T: Real>(roofline: Roofline, timing: &Timing, p: &[T]) -> T {
    let compute = || T::constant(timing.flops) / p[0];
    let memory = || T::constant(timing.bytes) / p[1];
    let work = match roofline {
        Roofline::Compute => compute(),
        Roofline::Memory => memory(),
        Roofline::Sum => compute() + memory(),
        Roofline::Max => compute().max(memory()),
        Roofline::SmoothMax(rho) => ((compute() * rho).log_add_exp(memory() * rho) - 2f64.ln()) / rho,
    };
    work + p[2] + p[3] * timing.batch
}

impl Model for Times<'_> {
    fn parameter_count(&self) -> usize {
        4
    }
    fn point_count(&self) -> usize {
        self.data.len()
    }
    fn residual<T: Real>(&self, point: usize, p: &[T]) -> T {
        let timing = &self.data[point];
        let predicted = seconds(self.settings.roofline, timing, p);
        let difference = || (predicted - timing.seconds) * 1e3;
        match self.settings.residual {
            Residual::Logarithm => predicted.ln() - timing.seconds.ln(),
            Residual::Milliseconds => difference(),
            Residual::SquaredHuber(delta) => {
                let size = difference().abs();
                if size.value() <= delta { size * size * 0.5 } else { (size - 0.5 * delta) * delta }
            }
        }
    }
}

/// A fitted time law.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct TimeLaw {
    /// Parameters α, β, ε, ε_B with all that is known of them.
    pub result: FitResult,
    /// The combination used.
    pub roofline: Roofline,
    /// What was squared.
    pub residual: Residual,
    /// R² of the logarithms of the times; None where a prediction is not positive.
    pub log_r_squared: Option<f64>,
    /// Median of |τ̂/τ − 1|.
    pub median_relative_error: f64,
}

/// Fits from a grid of rates and constants.
pub fn fit(data: &[Timing], settings: Settings) -> Result<TimeLaw, FitError> {
    fit_and(data, settings, |_, _| Ok(())).map(|(law, ())| law)
}

/// The same, and what `examine` makes of the solved fit: intervals need the problem itself.
pub fn fit_and<T>(
    data: &[Timing],
    settings: Settings,
    examine: impl FnOnce(&Fit<'_, dyn Problem + '_>, &FitResult) -> Result<T, FitError>,
) -> Result<(TimeLaw, T), FitError> {
    super::power_law::positive("time", &data.iter().map(|t| t.seconds).collect::<Vec<_>>())?;
    let model = Automatic(Times { data, settings });
    let (compute, memory) = match settings.roofline {
        Roofline::Compute => (true, false),
        Roofline::Memory => (false, true),
        _ => (true, true),
    };
    // The fastest call bounds the rates from below in order of magnitude.
    let fastest = |work: fn(&Timing) -> f64| data.iter().map(|t| work(t) / t.seconds).fold(0.0, f64::max);
    let shortest = data.iter().map(|t| t.seconds).fold(f64::INFINITY, f64::min);
    let rates = |on: bool, top: f64| if on { vec![0.3 * top, top, 3.0 * top] } else { vec![1.0] };
    let axes = [
        rates(compute, fastest(|t| t.flops)),
        rates(memory, fastest(|t| t.bytes)),
        vec![0.1 * shortest, 0.5 * shortest],
        if settings.per_sequence { vec![0.0, 1e-3 * shortest] } else { vec![0.0] },
    ];
    let starts = grid(&axes);
    let Some(first) = starts.first() else { return Err(FitError::Data("no times".into())) };
    let free = [compute, memory, true, settings.per_sequence];
    let parameters: Vec<Parameter> = (0..4)
        .map(|j| {
            let p = Parameter::new(NAMES[j], first[j]);
            if free[j] { p } else { p.fixed() }
        })
        .collect();
    let weights: Vec<f64> = data.iter().map(|t| t.weight).collect();
    let problem: &dyn Problem = &model;
    let fit = Fit::new(problem, parameters)?.weights(&weights)?.observations(
        data.iter()
            .map(|t| if settings.residual == Residual::Logarithm { t.seconds.ln() } else { t.seconds * 1e3 })
            .collect(),
    );
    let result = solve_many(&fit, &starts, Effort { screening: 30, finalists: 12 })?.best;
    let examined = examine(&fit, &result)?;
    let predicted: Vec<f64> = data.iter().map(|t| seconds(settings.roofline, t, &result.parameters)).collect();
    let mut relative: Vec<f64> = predicted.iter().zip(data).map(|(p, t)| (p / t.seconds - 1.0).abs()).collect();
    let law = TimeLaw {
        median_relative_error: crate::statistics::distribution::sample_quantile(&mut relative, 0.5),
        log_r_squared: log_r_squared(&predicted, data),
        roofline: settings.roofline,
        residual: settings.residual,
        result,
    };
    Ok((law, examined))
}

fn log_r_squared(predicted: &[f64], data: &[Timing]) -> Option<f64> {
    if predicted.iter().any(|p| p.is_nan() || *p <= 0.0) {
        return None;
    }
    let mean = data.iter().map(|t| t.seconds.ln()).sum::<f64>() / data.len() as f64;
    let total: f64 = data.iter().map(|t| (t.seconds.ln() - mean).powi(2)).sum();
    let rest: f64 = predicted.iter().zip(data).map(|(p, t)| (p.ln() - t.seconds.ln()).powi(2)).sum();
    Some(1.0 - rest / total)
}
