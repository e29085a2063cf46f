//! NIST's certified nonlinear regressions, from both starts.

mod nist;

use gradus_fit::statistics::Information;
use gradus_fit::{Automatic, Options, minimize};
use nist::problems;

/// Decimal digits to which `value` agrees with `certified`, at most 11 as certified.
fn digits(value: f64, certified: f64) -> f64 {
    let error = ((value - certified) / certified).abs();
    if error.is_nan() { 0.0 } else { (-error.max(1e-11).log10()).max(0.0) }
}

#[test]
fn nist_from_both_starts() {
    println!("| problem | start | parameters | RSS | errors | iterations | evaluations | outcome |");
    let mut failures = Vec::new();
    for problem in problems() {
        for (index, start) in problem.starts.iter().enumerate() {
            let model = Automatic(&problem);
            let fit = minimize(&model, start, &Options::default()).expect("finite at the start");
            let least = |pairs: &[(f64, f64)]| pairs.iter().map(|p| digits(p.0, p.1)).fold(11.0, f64::min);
            let of = |a: &[f64], b: &[f64]| least(&a.iter().copied().zip(b.iter().copied()).collect::<Vec<_>>());
            let (m, n) = (problem.y.len(), start.len());
            let information = Information::of(&fit.jacobian, m, n, f64::EPSILON);
            let errors = information.standard_errors(fit.objective / (m - n) as f64);
            let row = (
                of(&fit.parameters, &problem.certified),
                digits(fit.objective, problem.rss),
                of(&errors, &problem.deviation),
            );
            println!(
                "| {} | {} | {:.1} | {:.1} | {:.1} | {} | {} | {} |",
                problem.name,
                index + 1,
                row.0,
                row.1,
                row.2,
                fit.iterations,
                fit.residual_evaluations,
                fit.outcome
            );
            // Its certified residual is 1e-25: below the rounding of the data.
            let exact = problem.name == "Lanczos1";
            if row.0 < 10.0 || (!exact && (row.1 < 9.0 || row.2 < 6.0)) || !fit.outcome.converged() {
                failures.push(format!("{} from start {}: {row:?}, {}", problem.name, index + 1, fit.outcome));
            }
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}
