//! The Moré-Garbow-Hillstrom set beside MINPACK's lmder at the same tolerances. lmder's figures are in
//! `scipy/minpack.txt`, which `scipy/minpack.py` writes.

mod minpack;

use gradus_fit::{Automatic, Options, Problem, Solution, minimize};
use minpack::{ALL, Minpack};

struct Reference {
    number: usize,
    factor: f64,
    evaluations: usize,
    converged: bool,
    squares: f64,
}

fn references() -> Vec<Reference> {
    include_str!("scipy/minpack.txt")
        .lines()
        .filter(|l| !l.starts_with('#'))
        .map(|line| {
            let n: Vec<f64> = line.split_whitespace().map(|w| w.parse().expect("a number")).collect();
            // 1 to 4 say that a tolerance was met, 8 that gtol = 0 cannot be met any closer.
            let converged = [1.0, 2.0, 3.0, 4.0, 8.0].contains(&n[2]);
            Reference { number: n[0] as usize, factor: n[1], evaluations: n[3] as usize, converged, squares: n[5] }
        })
        .collect()
}

/// lmder's tolerances: √ε for objective and step, none for the gradient.
fn like_lmder() -> Options {
    let root = f64::EPSILON.sqrt();
    Options {
        objective_tolerance: root,
        step_tolerance: root,
        gradient_tolerance: 0.0,
        max_evaluations: 2000,
        polish: false,
        ..Options::default()
    }
}

fn solve(problem: &Minpack, factor: f64, options: &Options) -> Option<Solution> {
    minimize(&Automatic(problem), &problem.start(factor), options).ok()
}

#[test]
fn as_many_are_solved_as_by_lmder_with_no_more_evaluations() {
    println!(
        "| function | n | m | start | lmder: evaluations | sum of squares | ours: evaluations | sum of squares | outcome | with all digits: evaluations |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    let (mut theirs, mut ours, mut digits) = (0, 0, 0);
    let mut ratios = Vec::new();
    for reference in references() {
        let problem = &ALL[reference.number - 1];
        let found = solve(problem, reference.factor, &like_lmder());
        let exact = solve(problem, reference.factor, &Options::default());
        let good =
            |s: &Option<Solution>| s.as_ref().is_some_and(|s| s.outcome.converged() && problem.solved(s.objective));
        let mark = |good: bool| if good { "" } else { " ✗" };
        let (by_lmder, by_us) = (reference.converged && problem.solved(reference.squares), good(&found));
        theirs += usize::from(by_lmder);
        ours += usize::from(by_us);
        digits += usize::from(good(&exact));
        let count = |s: &Option<Solution>| s.as_ref().map_or(0, |s| s.residual_evaluations);
        if by_lmder && by_us {
            ratios.push(count(&found) as f64 / reference.evaluations as f64);
        }
        println!(
            "| {} | {} | {} | ×{} | {} | {:.6e}{} | {} | {:.6e}{} | {} | {}{} |",
            problem.name,
            problem.parameters,
            problem.points,
            reference.factor,
            reference.evaluations,
            reference.squares,
            mark(by_lmder),
            count(&found),
            found.as_ref().map_or(f64::NAN, |s| s.objective),
            mark(by_us),
            found.as_ref().map_or("no start".into(), |s| s.outcome.to_string()),
            count(&exact),
            mark(good(&exact)),
        );
    }
    ratios.sort_by(f64::total_cmp);
    let median = ratios[ratios.len() / 2];
    println!(
        "solved: lmder {theirs}, ours {ours}, ours with the default tolerances {digits}, of 54; \
         evaluations over lmder's where both solve: median {median:.3}, from {:.2} to {:.2}",
        ratios[0],
        ratios[ratios.len() - 1]
    );
    assert!(ours >= theirs && digits >= theirs, "{ours} and {digits}, lmder {theirs}");
    assert!(median <= 1.0, "{median}");
}

#[test]
fn the_functions_are_lmders() {
    // At the standard starts, sums of squares as the published tables have them.
    for (number, squares) in
        [(4, 24.2), (5, 2500.0), (6, 215.0), (7, 400.5), (8, 41.681_695_862_760), (14, 7_926_693.336_997)]
    {
        let problem = &ALL[number - 1];
        let mut residuals = vec![0.0; problem.points];
        Automatic(problem).residuals(&problem.start(1.0), &mut residuals);
        let found: f64 = residuals.iter().map(|r| r * r).sum();
        assert!((found / squares - 1.0).abs() < 1e-9, "{}: {found} is not {squares}", problem.name);
    }
}
