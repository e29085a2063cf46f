//! Intervals hold the truth as often as they say, on a few hundred synthetic laws; `examples/coverage.rs`
//! takes the 2,000 that the stated shares are of.

mod synthetic;

use gradus_fit::statistics::{Resample, bootstrap};
use gradus_fit::{Automatic, Fit, FitError};
use synthetic::{NAMES, bootstrap_coverage, parameters, profile_coverage, synthetic};

#[test]
fn profile_intervals_cover_the_truth_at_their_level() {
    let count = 400;
    for (name, share) in NAMES.iter().zip(profile_coverage(count)) {
        println!("profile, {name}: {:.1} % of {count} laws at 95 %", 100.0 * share);
        // The share of 400 is known to 1.1 %; this is two of that beyond 93.5 to 96.5 %.
        assert!((0.913..=0.987).contains(&share), "{name}: {share}");
    }
}

#[test]
fn studentised_bootstrap_covers_the_truth_nearly_at_its_level() {
    let count = 200;
    for (name, share) in NAMES.iter().zip(bootstrap_coverage(count, 199)) {
        println!("studentised bootstrap, {name}: {:.1} % of {count} laws at 95 %", 100.0 * share);
        assert!((0.88..=0.99).contains(&share), "{name}: {share}");
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
