//! Synthetic laws y = A·x^−p + c with known parameters and 1 % noise, and how often intervals hold the truth.

use gradus_fit::statistics::{Resample, bootstrap, profile_intervals};
use gradus_fit::{Automatic, Fit, Model, Parameter, Real};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rayon::prelude::*;

/// Names of the parameters.
pub const NAMES: [&str; 3] = ["A", "p", "c"];

/// ln y of a power law with offset; A is the value at x = 1.
pub struct Law {
    pub x: Vec<f64>,
    pub y: Vec<f64>,
}

impl Model for Law {
    fn parameter_count(&self) -> usize {
        3
    }
    fn point_count(&self) -> usize {
        self.x.len()
    }
    fn residual<T: Real>(&self, point: usize, p: &[T]) -> T {
        let ln_x = self.x[point].ln();
        (p[0] * (-p[1] * ln_x).exp() + p[2]).ln() - self.y[point].ln()
    }
}

fn normal(random: &mut StdRng) -> f64 {
    let (u, v): (f64, f64) = (random.random_range(f64::MIN_POSITIVE..1.0), random.random());
    (-2.0 * u.ln()).sqrt() * (2.0 * std::f64::consts::PI * v).cos()
}

/// A law with known parameters, 10 to 30 points over four decades, and 1 % noise.
pub fn synthetic(seed: u64) -> (Law, [f64; 3]) {
    let mut random = StdRng::seed_from_u64(seed);
    let truth = [random.random_range(1.0..4.0), random.random_range(0.2..0.6), random.random_range(1.0..2.0)];
    let points = random.random_range(10..=30);
    let x: Vec<f64> = (0..points).map(|i| 10f64.powf(4.0 * f64::from(i) / f64::from(points - 1) - 2.0)).collect();
    let y = x.iter().map(|x| (truth[0] * x.powf(-truth[1]) + truth[2]) * (0.01 * normal(&mut random)).exp()).collect();
    (Law { x, y }, truth)
}

pub fn parameters(truth: &[f64; 3]) -> Vec<Parameter> {
    ["A", "p", "c"].iter().zip(truth).map(|(n, v)| Parameter::new(*n, 1.1 * v)).collect()
}

/// Shares of `count` laws whose profile intervals at 95 % hold each parameter.
pub fn profile_coverage(count: u64) -> [f64; 3] {
    let hits: Vec<[bool; 3]> = (0..count)
        .into_par_iter()
        .map(|seed| {
            let (law, truth) = synthetic(seed);
            let problem = Automatic(law);
            let fit = Fit::new(&problem, parameters(&truth)).expect("valid");
            let best = fit.solve().expect("finite");
            let intervals = profile_intervals(&fit, &best, 0.95).expect("intervals");
            [0, 1, 2].map(|j| intervals[j].contains(truth[j]))
        })
        .collect();
    shares(&hits)
}

/// The same of studentised intervals from `refits` resampled residuals.
pub fn bootstrap_coverage(count: u64, refits: usize) -> [f64; 3] {
    let hits: Vec<[bool; 3]> = (0..count)
        .into_par_iter()
        .map(|seed| {
            let (law, truth) = synthetic(1_000_000 + seed);
            let problem = Automatic(law);
            let fit = Fit::new(&problem, parameters(&truth)).expect("valid");
            let best = fit.solve().expect("finite");
            let refits = bootstrap(&fit, &best, Resample::Residuals, refits, seed).expect("enough points");
            [0, 1, 2].map(|j| refits.studentised(j, 0.95).contains(truth[j]))
        })
        .collect();
    shares(&hits)
}

fn shares(hits: &[[bool; 3]]) -> [f64; 3] {
    [0, 1, 2].map(|j| hits.iter().filter(|h| h[j]).count() as f64 / hits.len() as f64)
}
