//! Times the fitter and prints one measurement a line; `benches/beside_scipy.py` sets SciPy beside it.

#[path = "../tests/nist/mod.rs"]
mod nist;
#[path = "../tests/workload/mod.rs"]
mod workload;

use gradus_fit::{Automatic, Options, minimize};
use std::hint::black_box;
use std::time::Instant;

/// Median seconds of several calls.
fn median(calls: usize, mut call: impl FnMut()) -> f64 {
    call();
    let mut seconds: Vec<f64> = (0..calls)
        .map(|_| {
            let started = Instant::now();
            call();
            started.elapsed().as_secs_f64()
        })
        .collect();
    seconds.sort_by(f64::total_cmp);
    seconds[calls / 2]
}

fn main() {
    for problem in nist::problems() {
        let model = Automatic(&problem);
        for (index, start) in problem.starts.iter().enumerate() {
            let seconds = median(51, || {
                black_box(minimize(&model, black_box(start), &Options::default())).ok();
            });
            println!("nist {} {} {seconds:e}", problem.name, index + 1);
        }
    }
    for arch in ["transformer", "xlstm"] {
        let Some(runs) = workload::headline_runs(arch) else {
            println!("skipped headline {arch}: no paper-runs (set GRADUS_REFERENCE)");
            continue;
        };
        let objective = workload::headline_fit(&runs).map_or(f64::NAN, |found| found.best.objective / 2.0);
        let seconds = median(5, || {
            black_box(workload::headline_fit(black_box(&runs)));
        });
        println!("headline {arch} {objective:.6e} {seconds:e}");
    }
    let runs = workload::isoflop_runs();
    let refits = workload::isoflop_bootstrap(&runs, 10_000);
    let seconds = median(5, || {
        black_box(workload::isoflop_bootstrap(black_box(&runs), 10_000));
    });
    println!("bootstrap {refits} {seconds:e}");
}
