//! Weights, bounds, transforms and robust losses. Reference values: SciPy's `least_squares`, its
//! trust-region reflective method at tolerances of 1e-15, best of several starts; those of the robust
//! losses are in `scipy/robust.txt`, which `scipy/robust.py` writes.

use gradus_fit::multistart::{Effort, around, solve_many};
use gradus_fit::solver::newton;
use gradus_fit::{Automatic, Fit, Loss, Model, Options, Parameter, Real, RobustStep, Transform};

/// y = p₀·exp(−p₁x) + p₂ with small errors and two gross ones.
struct Decay;

const ERRORS: [f64; 12] = [0.02, -0.05, 0.03, 0.0, 2.5, -0.04, 0.01, 0.05, -1.5, 0.03, -0.02, 0.04];

impl Model for Decay {
    fn parameter_count(&self) -> usize {
        3
    }
    fn point_count(&self) -> usize {
        ERRORS.len()
    }
    fn residual<T: Real>(&self, point: usize, p: &[T]) -> T {
        let x = point as f64;
        let y = 5.0 * (-0.3 * x).exp() + 1.0 + ERRORS[point];
        p[0] * (-p[1] * x).exp() + p[2] - y
    }
}

fn parameters() -> Vec<Parameter> {
    vec![Parameter::new("p0", 4.0), Parameter::new("p1", 0.2), Parameter::new("p2", 0.5)]
}

fn close(a: f64, b: f64, bound: f64, what: &str) {
    assert!((a - b).abs() <= bound * b.abs(), "{what}: {a} is not {b}");
}

/// The models of `scipy/robust.py` with its errors.
struct Disturbed {
    model: String,
    truth: Vec<f64>,
}

impl Disturbed {
    fn new(model: &str) -> Self {
        let truth = match model {
            "decay" => vec![5.0, 0.3, 1.0],
            "line" => vec![1.0, 0.5],
            "logistic" => vec![8.0, 3.0, 0.6],
            "power" => vec![2.0, 0.7],
            other => panic!("no model {other}"),
        };
        Self { model: model.into(), truth }
    }

    fn value<T: Real>(&self, x: f64, p: &[T]) -> T {
        match self.model.as_str() {
            "decay" => p[0] * (-p[1] * x).exp() + p[2],
            "line" => p[0] + p[1] * x,
            "logistic" => p[0] / ((p[1] - p[2] * x).exp() + 1.0),
            _ => p[0] * (p[1] * (x + 1.0).ln()).exp(),
        }
    }
}

impl Model for Disturbed {
    fn parameter_count(&self) -> usize {
        self.truth.len()
    }
    fn point_count(&self) -> usize {
        ERRORS.len()
    }
    fn residual<T: Real>(&self, point: usize, p: &[T]) -> T {
        let x = point as f64;
        self.value(x, p) - self.value(x, &self.truth) - ERRORS[point]
    }
}

#[test]
fn robust_losses_reach_scipys_cost() {
    let mut compared = 0;
    for line in include_str!("scipy/robust.txt").lines().filter(|l| !l.starts_with('#')) {
        let words: Vec<&str> = line.split(' ').collect();
        let numbers: Vec<f64> = words[2..].iter().map(|w| w.parse().expect("a number")).collect();
        let (scale, cost, theirs) = (numbers[0], numbers[1], &numbers[2..]);
        let loss = match words[1] {
            "linear" => Loss::Squares,
            "huber" => Loss::Huber(scale),
            "soft_l1" => Loss::SoftL1(scale),
            "cauchy" => Loss::Cauchy(scale),
            _ => Loss::Arctan(scale),
        };
        let model = Disturbed::new(words[0]);
        let parameters: Vec<Parameter> =
            model.truth.iter().enumerate().map(|(j, v)| Parameter::new(format!("p{j}"), 0.8 * v)).collect();
        let problem = Automatic(model);
        // At their parameters our objective is twice their cost.
        let mut residuals = [0.0; 12];
        gradus_fit::Problem::residuals(&problem, theirs, &mut residuals);
        close(loss.sum(&residuals) / 2.0, cost, 1e-12, &format!("{line}: the cost itself"));
        for robust_step in [RobustStep::Triggs, RobustStep::Reweighted] {
            let options = Options { loss, robust_step, ..Options::default() };
            let fit = Fit::new(&problem, parameters.clone()).expect("valid").options(options);
            // Redescending losses have other minima; the best of some starts counts, as for SciPy.
            let starts = around(&parameters, 0.3, 32);
            let found = solve_many(&fit, &starts, Effort::default()).expect("finite");
            let what = format!("{line} {robust_step:?}");
            assert!(found.best.objective / 2.0 <= cost * (1.0 + 1e-12), "{what}: {}", found.best.objective / 2.0);
            close(found.best.objective / 2.0, cost, 1e-9, &what);
            for (ours, theirs) in found.best.parameters.iter().zip(theirs) {
                close(*ours, *theirs, 1e-5, &what);
            }
        }
        compared += 1;
    }
    assert_eq!(compared, 52);
}

#[test]
fn huber_is_minimised_exactly() {
    let problem = Automatic(Decay);
    let (p, objective, converged) = newton(&problem, Loss::Huber(0.1), &[4.0, 0.2, 0.5], 200);
    assert!(converged);
    close(objective / 2.0, 0.3949852573282904, 1e-12, "cost");
    // The objective is the sum of Huber's function.
    let mut residuals = [0.0; 12];
    gradus_fit::Problem::residuals(&problem, &p, &mut residuals);
    let huber = |r: f64| if r.abs() <= 0.1 { r * r / 2.0 } else { 0.1 * (r.abs() - 0.05) };
    close(objective / 2.0, residuals.iter().map(|&r| huber(r)).sum(), 1e-14, "sum");
}

#[test]
fn bounds_hold_and_match_scipy() {
    let problem = Automatic(Decay);
    let mut bounded = parameters();
    bounded[0] = bounded[0].clone().bounds(0.0, 4.5);
    bounded[2] = bounded[2].clone().bounds(0.0, 0.8);
    let result = Fit::new(&problem, bounded).expect("valid").solve().expect("finite");
    close(result.objective / 2.0, 4.376735960995904, 1e-12, "cost");
    assert_eq!((result.parameters[0], result.parameters[2]), (4.5, 0.8));
    close(result.parameters[1], 0.21180956720204536, 1e-7, "p1");
    assert_eq!(result.at_bound, ["p0", "p2"]);
    assert!(result.outcome.converged());
}

#[test]
fn transforms_fixed_parameters_and_acceleration_reach_the_same_minimum() {
    let problem = Automatic(Decay);
    let loss = Loss::SoftL1(0.1);
    let plain = Fit::new(&problem, parameters()).expect("valid").options(Options { loss, ..Options::default() });
    let plain = plain.solve().expect("finite");
    let mut moved = parameters();
    moved[0] = moved[0].clone().transform(Transform::Log);
    moved[1] = moved[1].clone().bounds(0.0, 2.0).transform(Transform::Logit);
    let options = Options { loss, geodesic_acceleration: true, ..Options::default() };
    let other = Fit::new(&problem, moved.clone()).expect("valid").options(options.clone()).solve().expect("finite");
    for j in 0..3 {
        close(other.parameters[j], plain.parameters[j], 1e-7, "transformed parameter");
        close(other.standard_errors[j], plain.standard_errors[j], 1e-5, "transformed error");
    }
    moved[2] = Parameter::new("p2", plain.parameters[2]).fixed();
    let fixed = Fit::new(&problem, moved).expect("valid").options(options).solve().expect("finite");
    close(fixed.parameters[1], plain.parameters[1], 1e-7, "with the third held");
    assert_eq!(fixed.standard_errors[2], 0.0);
}

#[test]
fn a_weight_of_two_counts_as_two_rows() {
    struct Twice;
    impl Model for Twice {
        fn parameter_count(&self) -> usize {
            3
        }
        fn point_count(&self) -> usize {
            13
        }
        fn residual<T: Real>(&self, point: usize, p: &[T]) -> T {
            Decay.residual(point.min(11), p)
        }
    }
    let twice = Automatic(Twice);
    let repeated = Fit::new(&twice, parameters()).expect("valid").solve().expect("finite");
    let mut weights = [1.0; 12];
    weights[11] = 2.0;
    let once = Automatic(Decay);
    let fit = Fit::new(&once, parameters()).expect("valid").weights(&weights).expect("valid");
    let weighted = fit.solve().expect("finite");
    close(weighted.objective, repeated.objective, 1e-12, "objective");
    close(weighted.parameters[1], repeated.parameters[1], 1e-9, "p1");
    assert!(Fit::new(&once, parameters()).expect("valid").weights(&[-1.0; 12]).is_err());
}

#[test]
fn wrong_settings_are_named() {
    let problem = Automatic(Decay);
    let mut outside = parameters();
    outside[1] = outside[1].clone().bounds(1.0, 2.0);
    let error = Fit::new(&problem, outside).expect_err("start outside").to_string();
    assert!(error.contains("p1") && error.contains("outside its bounds"), "{error}");
    assert!(Fit::new(&problem, parameters()[..2].to_vec()).is_err());
    let mut nowhere = parameters();
    nowhere[1].start = f64::NAN;
    assert!(Fit::new(&problem, nowhere).is_err());
}

#[test]
fn the_same_bits_for_any_number_of_threads() {
    let problem = Automatic(Decay);
    let options = Options { loss: Loss::Cauchy(0.1), ..Options::default() };
    let fit = Fit::new(&problem, parameters()).expect("valid").options(options);
    let starts = around(&parameters(), 1.0, 200);
    let results: Vec<_> = [1, 2, 5]
        .map(|threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
            pool.install(|| solve_many(&fit, &starts, Effort { screening: 12, finalists: 200 }).expect("finite"))
        })
        .into();
    assert!(results[0].minima.len() > 1, "a redescending loss has several minima");
    assert_eq!(results[0], results[1]);
    assert_eq!(results[0], results[2]);
}
