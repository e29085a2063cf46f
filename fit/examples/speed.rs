//! Times the fitter and prints one measurement a line; `benches/beside_scipy.py` sets SciPy beside it.

#[path = "../tests/nist/mod.rs"]
mod nist;
#[path = "../tests/workload/mod.rs"]
mod workload;

use gradus_fit::{Automatic, Fit, Options, Parameter, minimize};
use std::hint::black_box;
use std::time::Instant;

/// Seconds of the fastest of several calls: on a machine that others use too, what the call itself takes.
fn fastest(calls: usize, mut call: impl FnMut()) -> f64 {
    call();
    (0..calls).fold(f64::INFINITY, |least, _| {
        let started = Instant::now();
        call();
        least.min(started.elapsed().as_secs_f64())
    })
}

fn main() {
    for problem in nist::problems() {
        let model = Automatic(&problem);
        for (index, start) in problem.starts.iter().enumerate() {
            let seconds = fastest(51, || {
                black_box(minimize(&model, black_box(start), &Options::default())).ok();
            });
            let parameters = start.iter().enumerate().map(|(j, v)| Parameter::new(format!("b{}", j + 1), *v)).collect();
            let with_statistics = Fit::new(&model, parameters).map_or(f64::NAN, |fit| {
                fastest(51, || {
                    black_box(black_box(&fit).solve()).ok();
                })
            });
            println!("nist {} {} {seconds:e} {with_statistics:e}", problem.name, index + 1);
        }
    }
    for arch in ["transformer", "xlstm"] {
        let Some(runs) = workload::headline_runs(arch) else {
            println!("skipped headline {arch}: no paper-runs (set GRADUS_REFERENCE)");
            continue;
        };
        let objective = workload::headline_fit(&runs).map_or(f64::NAN, |found| found.best.objective / 2.0);
        let seconds = fastest(5, || {
            black_box(workload::headline_fit(black_box(&runs)));
        });
        println!("headline {arch} {objective:.6e} {seconds:e}");
    }
    let runs = workload::isoflop_runs();
    let refits = workload::isoflop_bootstrap(&runs, 10_000);
    let seconds = fastest(5, || {
        black_box(workload::isoflop_bootstrap(black_box(&runs), 10_000));
    });
    println!("bootstrap {refits} {seconds:e}");
}
