//! The three ways to a Jacobian agree, and so do their second derivatives.

mod nist;

use gradus_fit::{Automatic, DifferenceOrder, FiniteDifferences, Model, Problem, WithJacobian};
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
