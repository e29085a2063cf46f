//! The three ways to a Jacobian agree, and so do their second derivatives.

mod nist;

use gradus_fit::{
    Automatic, DifferenceOrder, FiniteDifferences, Fit, Model, Options, Parameter, Problem, Transform, WithJacobian,
};
use nist::{Nist, problems};

fn residuals(problem: &Nist, parameters: &[f64], out: &mut [f64]) {
    for (point, slot) in out.iter_mut().enumerate() {
        *slot = problem.residual(point, parameters);
    }
}

/// Largest difference of two matrices by columns, each column relative to its largest entry.
fn difference(a: &[f64], b: &[f64], m: usize) -> f64 {
    a.chunks_exact(m).zip(b.chunks_exact(m)).fold(0.0, |worst, (x, y)| {
        let size = x.iter().fold(0.0_f64, |s, v| s.max(v.abs())).max(1e-300);
        x.iter().zip(y).fold(worst, |w: f64, (p, q)| w.max((p - q).abs() / size))
    })
}

#[test]
fn finite_differences_agree_with_dual_numbers() {
    for problem in problems() {
        let (m, n) = (problem.y.len(), problem.certified.len());
        let exact = Automatic(&problem);
        let mut jacobian = vec![0.0; m * n];
        exact.jacobian(&problem.certified, &mut jacobian);
        // Truncation counts where a step relative to the parameter is wide beside the curve: Eckerle4's
        // peak at 451 is 4 wide (measured 1.4e-5 with the fourth order, whose steps are the longest).
        for (order, bound) in
            [(DifferenceOrder::Forward, 1e-4), (DifferenceOrder::Central, 1e-6), (DifferenceOrder::Fourth, 2e-5)]
        {
            let differences = FiniteDifferences {
                parameters: n,
                points: m,
                residuals: |p: &[f64], out: &mut [f64]| residuals(&problem, p, out),
                order,
            };
            let mut other = vec![0.0; m * n];
            differences.jacobian(&problem.certified, &mut other);
            let error = difference(&jacobian, &other, m);
            assert!(error < bound, "{} {order:?}: {error:e}", problem.name);
        }
    }
}

#[test]
fn both_at_once_are_the_same_bits_as_one_after_the_other() {
    for problem in problems() {
        let (m, n) = (problem.y.len(), problem.certified.len());
        let exact = Automatic(&problem);
        let (mut residuals, mut jacobian) = (vec![0.0; m], vec![0.0; m * n]);
        exact.residuals(&problem.starts[0], &mut residuals);
        exact.jacobian(&problem.starts[0], &mut jacobian);
        let (mut a, mut b) = (vec![f64::NAN; m], vec![f64::NAN; m * n]);
        assert!(exact.residuals_and_jacobian(&problem.starts[0], &mut a, &mut b));
        assert!(a == residuals && b == jacobian, "{}", problem.name);
    }
}

/// Steps that are rejected, parameters that are held, searched in logarithms and weighted: in one pass or in
/// two the search takes the same way.
#[test]
fn a_search_in_one_pass_is_the_search_in_two() {
    for problem in problems().into_iter().filter(|p| ["Misra1a", "Rat43", "MGH17", "Thurber"].contains(&&*p.name)) {
        let (m, n) = (problem.y.len(), problem.certified.len());
        let once = Automatic(&problem);
        let twice = WithJacobian {
            parameters: n,
            points: m,
            residuals: |p: &[f64], out: &mut [f64]| residuals(&problem, p, out),
            jacobian: |p: &[f64], out: &mut [f64]| once.jacobian(p, out),
        };
        let parameters: Vec<Parameter> = (0..n)
            .map(|j| {
                let start = problem.starts[0][j];
                let parameter = Parameter::new(format!("b{j}"), if j == 0 { problem.certified[0] } else { start });
                match j {
                    0 => parameter.fixed(),
                    1 if start > 0.0 => parameter.transform(Transform::Log),
                    _ => parameter,
                }
            })
            .collect();
        let weights: Vec<f64> = (0..m).map(|i| 1.0 + (i % 3) as f64).collect();
        let options = Options { polish: false, ..Options::default() };
        let solve = |problem: &dyn Problem| {
            let fit = Fit::new(problem, parameters.clone()).and_then(|f| f.weights(&weights)).expect("a fit");
            fit.options(options.clone()).solve().expect("a result")
        };
        let (a, b) = (solve(&once), solve(&twice));
        assert!(a.iterations > 3 && a.residual_evaluations == b.residual_evaluations, "{}", problem.name);
        assert!(a.parameters == b.parameters && a.objective == b.objective, "{}", problem.name);
        assert!(a.jacobian_evaluations >= b.jacobian_evaluations, "{}", problem.name);
    }
}

#[test]
fn second_derivatives_agree_with_differences_of_the_jacobian() {
    for problem in problems().into_iter().filter(|p| p.name != "Nelson") {
        let (m, n) = (problem.y.len(), problem.certified.len());
        let exact = Automatic(&problem);
        let by_hand = WithJacobian {
            parameters: n,
            points: m,
            residuals: |p: &[f64], out: &mut [f64]| residuals(&problem, p, out),
            jacobian: |p: &[f64], out: &mut [f64]| exact.jacobian(p, out),
        };
        let direction: Vec<f64> = problem.certified.iter().map(|p| 0.01 * p).collect();
        let (mut a, mut b) = (vec![0.0; m], vec![0.0; m]);
        exact.second_directional(&problem.certified, &direction, &mut a);
        by_hand.second_directional(&problem.certified, &direction, &mut b);
        let error = difference(&a, &b, m);
        assert!(error < 1e-5, "{} along a direction: {error:e}", problem.name);

        let multipliers: Vec<f64> = (0..m).map(|i| 1.0 + (i % 3) as f64).collect();
        let (mut a, mut b) = (vec![0.0; n * n], vec![0.0; n * n]);
        exact.curvature(&problem.certified, &multipliers, &mut a);
        by_hand.curvature(&problem.certified, &multipliers, &mut b);
        // Each entry in units of the parameters, so that large ones do not hide the rest.
        for (k, (x, y)) in a.iter_mut().zip(&mut b).enumerate() {
            let unit = problem.certified[k / n] * problem.certified[k % n];
            *x *= unit;
            *y *= unit;
        }
        let error = difference(&a, &b, n * n);
        assert!(error < 1e-4, "{} curvature: {error:e}", problem.name);
    }
}
