//! How a search ended is said as it was: no silent success.

use gradus_fit::{
    Automatic, DifferenceOrder, Dual, FiniteDifferences, Model, Options, Outcome, Problem, Real, WithJacobian, minimize,
};

/// y = p₀·e^(−p₁x) + 0.1·(−1)^x at x = 0, 1, … 9, about 3·e^(−0.4x).
struct Decay;

impl Model for Decay {
    fn parameter_count(&self) -> usize {
        2
    }
    fn point_count(&self) -> usize {
        10
    }
    fn residual<T: Real>(&self, point: usize, p: &[T]) -> T {
        let x = point as f64;
        p[0] * (-(p[1] * x)).exp() - 3.0 * (-0.4 * x).exp() - if point.is_multiple_of(2) { 0.1 } else { -0.1 }
    }
}

fn residuals(p: &[f64], out: &mut [f64]) {
    Automatic(Decay).residuals(p, out);
}

/// By hand: ∂/∂p₀ = e^(−p₁x), ∂/∂p₁ = −x·p₀·e^(−p₁x).
fn jacobian(p: &[f64], out: &mut [f64]) {
    for point in 0..10 {
        let x = point as f64;
        out[point] = (-p[1] * x).exp();
        out[10 + point] = -x * p[0] * (-p[1] * x).exp();
    }
}

const START: [f64; 2] = [1.0, 0.1];

#[test]
fn three_ways_to_a_jacobian_reach_one_minimum() {
    let exact = minimize(&Automatic(Decay), &START, &Options::default()).expect("finite");
    assert!(exact.outcome.converged());
    let given = WithJacobian { parameters: 2, points: 10, residuals, jacobian };
    let mut by_hand = [0.0; 20];
    let mut by_duals = [0.0; 20];
    given.jacobian(&START, &mut by_hand);
    Automatic(Decay).jacobian(&START, &mut by_duals);
    for (a, b) in by_hand.iter().zip(by_duals) {
        assert!((a - b).abs() <= 1e-15 * a.abs(), "{a} {b}");
    }
    let close = |found: &[f64], bound: f64, what: &str| {
        for (a, b) in found.iter().zip(&exact.parameters) {
            assert!((a - b).abs() < bound * b.abs(), "{what}: {a} is not {b}");
        }
    };
    let other = minimize(&given, &START, &Options::default()).expect("finite");
    assert!(other.outcome.converged());
    close(&other.parameters, 1e-12, "given");
    for (order, bound) in
        [(DifferenceOrder::Forward, 1e-7), (DifferenceOrder::Central, 1e-9), (DifferenceOrder::Fourth, 1e-11)]
    {
        let differences = FiniteDifferences { parameters: 2, points: 10, residuals, order };
        let found = minimize(&differences, &START, &Options::default()).expect("finite");
        close(&found.parameters, bound, &format!("{order:?}"));
    }
    let accelerated = Options { geodesic_acceleration: true, ..Options::default() };
    close(&minimize(&Automatic(Decay), &START, &accelerated).expect("finite").parameters, 1e-12, "accelerated");
}

#[test]
fn a_wrong_jacobian_is_no_success() {
    for (what, wrong) in [
        (
            "sign",
            (|p: &[f64], out: &mut [f64]| {
                jacobian(p, out);
                out.iter_mut().for_each(|v| *v = -*v);
            }) as fn(&[f64], &mut [f64]),
        ),
        ("one column's sign", |p, out| {
            jacobian(p, out);
            out[10..].iter_mut().for_each(|v| *v = -*v);
        }),
        ("columns exchanged", |p, out| {
            jacobian(p, out);
            let (a, b) = out.split_at_mut(10);
            a.swap_with_slice(b);
        }),
    ] {
        let problem = WithJacobian { parameters: 2, points: 10, residuals, jacobian: wrong };
        let found = minimize(&problem, &START, &Options::default()).expect("finite");
        let truth = minimize(&Automatic(Decay), &START, &Options::default()).expect("finite");
        // It may find the minimum all the same; it may not claim one that is none.
        let there = found.objective <= truth.objective * (1.0 + 1e-9);
        assert!(there || !found.outcome.converged(), "{what}: {} at {:?}", found.outcome, found.parameters);
    }
}

#[test]
fn too_few_evaluations_are_named() {
    let options = Options { max_evaluations: 2, ..Options::default() };
    let found = minimize(&Automatic(Decay), &START, &options).expect("finite");
    assert_eq!(found.outcome, Outcome::EvaluationLimit);
    assert!(!found.outcome.converged());
    assert!(found.residual_evaluations <= 2);
}

#[test]
fn a_jacobian_that_is_not_finite_is_named() {
    let broken = |p: &[f64], out: &mut [f64]| {
        jacobian(p, out);
        if p[1] > 0.2 {
            out[3] = f64::NAN;
        }
    };
    let problem = WithJacobian { parameters: 2, points: 10, residuals, jacobian: broken };
    let found = minimize(&problem, &START, &Options::default()).expect("finite at the start");
    assert_eq!(found.outcome, Outcome::NonFinite);
    assert!(found.parameters.iter().all(|p| p.is_finite()) && found.objective.is_finite());
}

#[test]
fn each_test_of_convergence_can_be_the_one_that_stops() {
    let loose = |objective, step, gradient| Options {
        objective_tolerance: objective,
        step_tolerance: step,
        gradient_tolerance: gradient,
        polish: false,
        ..Options::default()
    };
    for (options, outcome) in [
        (loose(1e-3, 0.0, 0.0), Outcome::ConvergedObjective),
        (loose(0.0, 1e-2, 0.0), Outcome::ConvergedStep),
        (loose(0.0, 0.0, 1e-2), Outcome::ConvergedGradient),
    ] {
        let found = minimize(&Automatic(Decay), &START, &options).expect("finite");
        assert_eq!(found.outcome, outcome);
        assert!(found.gradient_cosine < 0.05, "{outcome:?}: {}", found.gradient_cosine);
    }
}

#[test]
fn differences_take_one_side_where_the_other_has_no_values() {
    // √p is defined for p ≥ 0 only; at p = 0 + a little a central difference would leave that.
    let residuals = |p: &[f64], out: &mut [f64]| {
        out[0] = (p[0] - 1.0).sqrt();
        out[1] = p[0];
    };
    let problem = FiniteDifferences { parameters: 1, points: 2, residuals, order: DifferenceOrder::Central };
    let at = 1.0 + 1e-7;
    let mut jacobian = [0.0; 2];
    problem.jacobian(&[at], &mut jacobian);
    let truth = 0.5 / (at - 1.0_f64).sqrt();
    assert!(jacobian.iter().all(|v| v.is_finite()), "{jacobian:?}");
    // A step longer than the distance to the edge is rough, but of the right sign and size.
    assert!(jacobian[0] > 0.1 * truth && jacobian[0] < 2.0 * truth, "{} and {truth}", jacobian[0]);
    assert!((jacobian[1] - 1.0).abs() < 1e-8);
    let dual = (Dual::<f64, 1>::variable(at, 0) - 1.0).sqrt();
    assert!((dual.derivative[0] - truth).abs() < 1e-9 * truth);
}
