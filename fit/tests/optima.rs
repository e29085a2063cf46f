//! Intervals of compute-optimal sizes and tokens hold the truth as often as they say: synthetic IsoFLOP
//! runs about known optima, noisy runs, optima that scatter about the law, and both.

use gradus_fit::laws::isoflop::{self, Isoflop, Run};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rayon::prelude::*;

fn normal(random: &mut StdRng) -> f64 {
    let (u, v): (f64, f64) = (random.random_range(f64::MIN_POSITIVE..1.0), random.random());
    (-2.0 * u.ln()).sqrt() * (2.0 * std::f64::consts::PI * v).cos()
}

const EXPONENT: f64 = 0.55;

/// N* of the law; D* = C/(6·N*).
fn best_size(flops: f64) -> f64 {
    0.008 * flops.powf(EXPONENT)
}

/// Nine runs at each budget. `noise` in nats a run, `scatter` of ln N* of a budget about the law.
fn synthetic(seed: u64, budgets: &[f64], noise: f64, scatter: f64) -> Vec<Run> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut runs = Vec::new();
    for &flops in budgets {
        let middle = best_size(flops) * (scatter * normal(&mut random)).exp();
        for step in -4..=4 {
            let params = middle * 10f64.powf(0.12 * f64::from(step));
            let loss = 30.0 * flops.powf(-0.05) + (0.12 * f64::from(step)).powi(2) + noise * normal(&mut random);
            runs.push(Run { budget: flops, flops, params, tokens: flops / 6.0 / params, loss, weight: 1.0 });
        }
    }
    runs
}

/// Shares of data sets whose intervals hold the truth: N* inside the budgets, N* and D* at ten times
/// the largest, the exponent; by our intervals, and by the two that they are the wider of.
fn coverage(budgets: &[f64], noise: f64, scatter: f64) -> [[f64; 4]; 2] {
    let count = 500;
    let inside = 3e19;
    let outside = 10.0 * budgets[budgets.len() - 1];
    let holds = |fit: &Isoflop| {
        let within = |(low, high): (f64, f64), truth: f64| low <= truth && truth <= high;
        [
            within(fit.params.interval(inside, 0.95), best_size(inside)),
            within(fit.params.interval(outside, 0.95), best_size(outside)),
            within(fit.tokens.interval(outside, 0.95), outside / 6.0 / best_size(outside)),
            within(fit.params.exponent_interval(0.95), EXPONENT),
        ]
    };
    let hits: Vec<[[bool; 4]; 2]> = (0..count)
        .into_par_iter()
        .map(|seed| {
            let fit = isoflop::fit(&synthetic(seed, budgets, noise, scatter), (0.0, 1e99)).expect("parabolas");
            let mut by_runs = fit.clone();
            for law in [&mut by_runs.params, &mut by_runs.tokens] {
                // Without the scatter about the line.
                law.line.line.objective = 0.0;
                law.line.exponent_error = 0.0;
            }
            [holds(&fit), holds(&by_runs)]
        })
        .collect();
    [0, 1].map(|way| [0, 1, 2, 3].map(|k| hits.iter().filter(|h| h[way][k]).count() as f64 / count as f64))
}

#[test]
fn intervals_of_optima_are_not_too_narrow() {
    let four = [6e18, 1e19, 3e19, 1e20];
    for (budgets, noise, scatter) in [
        (&four[..], 0.003, 0.0),
        (&four, 0.001, 0.05),
        (&four, 0.02, 0.025),
        (&four[..3], 0.003, 0.0),
        (&four[1..], 0.01, 0.03),
    ] {
        let [ours, by_runs] = coverage(budgets, noise, scatter);
        println!(
            "{} budgets, noise {noise}, scatter {scatter}: N* inside, N* and D* at 10x, exponent covered {ours:.3?}; by the runs' noise alone {by_runs:.3?}",
            budgets.len()
        );
        for share in ours {
            // 500 data sets tell shares to a percent.
            assert!((0.92..=1.0).contains(&share), "noise {noise}, scatter {scatter}: {ours:?}");
        }
        if scatter > 0.03 {
            assert!(by_runs[1] < 0.8, "the scatter must matter: {by_runs:?}");
        }
    }
}

#[test]
fn optima_on_a_line_by_chance_keep_the_error_of_their_runs() {
    // The first of many noisy data sets whose four optima fall on a line by chance.
    let four = [6e18, 1e19, 3e19, 1e20];
    let fits = (0..).map(|seed| isoflop::fit(&synthetic(seed, &four, 0.005, 0.0), (0.0, 1e99)).expect("parabolas"));
    let lucky = fits.take(2000).find(|f| f.params.line.line.r_squared > 0.99999).expect("one in hundreds");
    let (low, high) = lucky.params.line.interval(1e21, 0.95);
    let (honest_low, honest_high) = lucky.params.interval(1e21, 0.95);
    println!("by the line {low:.3e} to {high:.3e}, honest {honest_low:.3e} to {honest_high:.3e}");
    assert!((honest_high / honest_low).ln() > 1.5 * (high / low).ln());
    assert!(lucky.params.exponent_error() > lucky.params.line.exponent_error);
}

/// Of the budgets from `first` up to `last` only the smallest, the middle and the largest run.
fn thinned(mut runs: Vec<Run>, first: f64, last: f64) -> Vec<Run> {
    let mut place = 0;
    runs.retain(|run| {
        place = place % 9 + 1;
        !(first..=last).contains(&run.budget) || [1, 5, 9].contains(&place)
    });
    runs
}

#[test]
fn two_budgets_or_three_runs_a_budget_give_no_narrow_interval() {
    let fit = |runs: &[Run]| isoflop::fit(runs, (0.0, 1e99)).expect("parabolas");
    let two = fit(&synthetic(1, &[1e19, 1e20], 0.003, 0.0));
    assert!(two.params.interval(1e20, 0.95).1.is_infinite());
    assert!(two.params.exponent_error().is_infinite());
    let four = || synthetic(2, &[6e18, 1e19, 3e19, 1e20], 0.003, 0.0);
    // Three runs leave nothing to judge a parabola by; the noise of the other budgets stands in.
    let one_thin = fit(&thinned(four(), 6e18, 6e18));
    assert!(one_thin.params.runs_covariance[0] > 0.0 && one_thin.params.runs_covariance[0].is_finite());
    assert!((3..=18).contains(&one_thin.params.runs_freedom), "{}", one_thin.params.runs_freedom);
    // Where every budget has three, nothing is known of the noise.
    let all_thin = fit(&thinned(four(), 0.0, 1e99));
    assert!(all_thin.params.interval(1e20, 0.95).1.is_infinite());
}
