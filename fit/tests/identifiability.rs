//! Problems whose parameters the data do not determine are named as such.

use gradus_fit::{Automatic, Dual, Fit, Model, Outcome, Parameter, Real};

/// time = bytes/β + ε + batch·κ where bytes are affine in the batch, as for a recurrent model's step: β, ε
/// and κ cannot be told apart.
struct Collinear;

impl Model for Collinear {
    fn parameter_count(&self) -> usize {
        3
    }
    fn point_count(&self) -> usize {
        10
    }
    fn residual<T: Real>(&self, point: usize, p: &[T]) -> T {
        let batch = (point + 1) as f64;
        let bytes = 13.0 + 0.3 * batch;
        let scatter = if point.is_multiple_of(2) { 0.01 } else { -0.01 };
        p[0] * bytes + p[1] + p[2] * batch - (5.0 + 0.1 * batch + scatter)
    }
}

#[test]
fn collinear_parameters_are_named_and_get_no_error_bar() {
    let problem = Automatic(Collinear);
    let start = ["inverse_bandwidth", "offset", "per_sequence"].map(|n| Parameter::new(n, 0.1)).to_vec();
    let result = Fit::new(&problem, start).expect("valid").solve().expect("finite");
    assert_eq!(result.information.rank, 2);
    assert!(result.standard_errors.iter().all(|e| e.is_infinite()), "{:?}", result.standard_errors);
    let named = result.information.describe(&result.names);
    assert_eq!(named.len(), 1);
    for name in &result.names {
        assert!(named[0].contains(name.as_str()), "{named:?}");
    }
    // What the data do determine keeps its error: the time at a batch of 4.
    assert!(result.variance_of(&[13.0 + 0.3 * 4.0, 1.0, 4.0]).sqrt() < 0.01);
    assert!(result.variance_of(&[1.0, 0.0, 0.0]).is_infinite());
}

/// Two parameters that act only through their product, and one that does nothing.
struct Product;

impl Model for Product {
    fn parameter_count(&self) -> usize {
        3
    }
    fn point_count(&self) -> usize {
        6
    }
    fn residual<T: Real>(&self, point: usize, p: &[T]) -> T {
        let x = point as f64;
        p[0] * p[1] * x + p[2] * 0.0 - (2.0 * x + if point == 3 { 0.1 } else { 0.0 })
    }
}

#[test]
fn a_product_and_an_idle_parameter_are_named() {
    let problem = Automatic(Product);
    let start = vec![Parameter::new("u", 1.0), Parameter::new("v", 1.0), Parameter::new("idle", 3.0)];
    let result = Fit::new(&problem, start).expect("valid").solve().expect("finite");
    assert_eq!(result.information.rank, 1);
    assert!(result.standard_errors.iter().all(|e| e.is_infinite()));
    assert!((result.parameters[0] * result.parameters[1] - 2.0).abs() < 0.05);
}

#[test]
fn a_model_that_is_not_finite_is_an_error_not_a_panic() {
    struct Undefined;
    impl Model for Undefined {
        fn parameter_count(&self) -> usize {
            1
        }
        fn point_count(&self) -> usize {
            3
        }
        fn residual<T: Real>(&self, point: usize, p: &[T]) -> T {
            // Defined only for p ≥ 0; the minimum is at the edge, where the slope is infinite.
            p[0].sqrt() + point as f64
        }
    }
    let problem = Automatic(Undefined);
    assert!(Fit::new(&problem, vec![Parameter::new("p", -1.0)]).expect("valid").solve().is_err());
    let edge = Fit::new(&problem, vec![Parameter::new("p", 1.0)]).expect("valid").solve().expect("finite");
    assert!(edge.parameters[0] >= 0.0);
    assert_ne!(edge.outcome, Outcome::ConvergedGradient);
}

#[test]
fn too_few_points_are_refused_and_none_to_spare_gives_no_error_bar() {
    let problem = Automatic(Product);
    let start = vec![Parameter::new("u", 1.0), Parameter::new("v", 2.0).fixed(), Parameter::new("w", 0.0).fixed()];
    let fit = Fit::new(&problem, start).expect("valid");
    assert!(fit.clone().weights(&[0.0; 6]).is_err());
    let one = fit.weights(&[0.0, 1.0, 0.0, 0.0, 0.0, 0.0]).expect("one point for one parameter");
    let result = one.solve().expect("finite");
    assert!(result.standard_errors[0].is_infinite());
}

#[test]
fn dual_numbers_know_each_function() {
    let x = 0.7;
    let at = |f: &dyn Fn(Dual<f64, 1>) -> Dual<f64, 1>| f(Dual::variable(x, 0)).derivative[0];
    let checks: [(&str, f64, f64); 10] = [
        ("exp", at(&|v| v.exp()), x.exp()),
        ("ln", at(&|v| v.ln()), 1.0 / x),
        ("ln_1p", at(&|v| v.ln_1p()), 1.0 / (1.0 + x)),
        ("sqrt", at(&|v| v.sqrt()), 0.5 / x.sqrt()),
        ("sin", at(&|v| v.sin()), x.cos()),
        ("cos", at(&|v| v.cos()), -x.sin()),
        ("atan", at(&|v| v.atan()), 1.0 / (1.0 + x * x)),
        ("tanh", at(&|v| v.tanh()), 1.0 - x.tanh().powi(2)),
        ("pow", at(&|v| v.pow(v)), x.powf(x) * (x.ln() + 1.0)),
        ("div", at(&|v| (v + 1.0) / (v * v)), -1.0 / (x * x) - 2.0 / x.powi(3)),
    ];
    for (name, found, expected) in checks {
        assert!((found - expected).abs() < 1e-13 * expected.abs(), "{name}: {found} is not {expected}");
    }
}
