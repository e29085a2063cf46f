//! Intervals hold the truth as often as they say: synthetic laws y = A·x^−p + c with 1 % noise.

use gradus_fit::statistics::{Resample, bootstrap, profile_intervals};
use gradus_fit::{Automatic, Fit, FitError, Model, Parameter, Real};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rayon::prelude::*;

/// ln y of a power law with offset; A is the value at x = 1.
struct Law {
    x: Vec<f64>,
    y: Vec<f64>,
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
fn synthetic(seed: u64) -> (Law, [f64; 3]) {
    let mut random = StdRng::seed_from_u64(seed);
    let truth = [random.random_range(1.0..4.0), random.random_range(0.2..0.6), random.random_range(1.0..2.0)];
    let points = random.random_range(10..=30);
    let x: Vec<f64> = (0..points).map(|i| 10f64.powf(4.0 * f64::from(i) / f64::from(points - 1) - 2.0)).collect();
    let y = x.iter().map(|x| (truth[0] * x.powf(-truth[1]) + truth[2]) * (0.01 * normal(&mut random)).exp()).collect();
    (Law { x, y }, truth)
}

fn parameters(truth: &[f64; 3]) -> Vec<Parameter> {
    ["A", "p", "c"].iter().zip(truth).map(|(n, v)| Parameter::new(*n, 1.1 * v)).collect()
}

fn laws(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().and_then(|v| v.parse().ok()).unwrap_or(default)
}

#[test]
fn profile_intervals_cover_the_truth_at_their_level() {
    let count = laws("GRADUS_COVERAGE_LAWS", 2000);
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
    for (j, name) in ["A", "p", "c"].iter().enumerate() {
        let share = hits.iter().filter(|h| h[j]).count() as f64 / count as f64;
        println!("profile, {name}: {:.1} % of {count} laws at 95 %", 100.0 * share);
        assert!((0.935..=0.965).contains(&share), "{name}: {share}");
    }
}

#[test]
fn studentised_bootstrap_covers_the_truth_nearly_at_its_level() {
    let count = laws("GRADUS_BOOTSTRAP_LAWS", 300);
    let hits: Vec<[bool; 3]> = (0..count)
        .into_par_iter()
        .map(|seed| {
            let (law, truth) = synthetic(1_000_000 + seed);
            let problem = Automatic(law);
            let fit = Fit::new(&problem, parameters(&truth)).expect("valid");
            let best = fit.solve().expect("finite");
            let refits = bootstrap(&fit, &best, Resample::Residuals, 399, seed).expect("enough points");
            [0, 1, 2].map(|j| refits.studentised(j, 0.95).contains(truth[j]))
        })
        .collect();
    for (j, name) in ["A", "p", "c"].iter().enumerate() {
        let share = hits.iter().filter(|h| h[j]).count() as f64 / count as f64;
        println!("studentised bootstrap, {name}: {:.1} % of {count} laws at 95 %", 100.0 * share);
        assert!((0.90..=0.98).contains(&share), "{name}: {share}");
    }
}

#[test]
fn case_and_residual_bootstraps_agree_and_do_not_depend_on_threads() {
    let (law, truth) = synthetic(7);
    let problem = Automatic(law);
    let fit = Fit::new(&problem, parameters(&truth)).expect("valid");
    let best = fit.solve().expect("finite");
    let width = |how| {
        let interval = bootstrap(&fit, &best, how, 999, 1).expect("enough points").percentile(1, 0.95);
        interval.high - interval.low
    };
    let (cases, residuals) = (width(Resample::Cases), width(Resample::Residuals));
    assert!((0.5..2.0).contains(&(cases / residuals)), "{cases} and {residuals}");
    let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a pool");
    let alone = one.install(|| bootstrap(&fit, &best, Resample::Cases, 50, 3).expect("enough points"));
    assert_eq!(alone, bootstrap(&fit, &best, Resample::Cases, 50, 3).expect("enough points"));
}

#[test]
fn a_bootstrap_of_seven_points_is_refused() {
    let (mut law, truth) = synthetic(3);
    law.x.truncate(7);
    law.y.truncate(7);
    let problem = Automatic(law);
    let fit = Fit::new(&problem, parameters(&truth)).expect("valid");
    let best = fit.solve().expect("finite");
    let error = bootstrap(&fit, &best, Resample::Residuals, 100, 0).expect_err("too few");
    assert_eq!(error, FitError::TooFewForBootstrap { points: 7, needed: 8 });
}
