//! `cargo bench -p gradus-fit`: the NIST problems from both starts (1 is the far one), the paper's headline fit from its
//! full grid, and 10,000 refits of an IsoFLOP law.

#[path = "../tests/nist/mod.rs"]
mod nist;
#[path = "../tests/workload/mod.rs"]
mod workload;

use divan::Bencher;
use gradus_fit::{Automatic, Options, minimize};

fn main() {
    divan::main();
}

fn searches() -> Vec<String> {
    nist::problems().into_iter().flat_map(|p| [1, 2].map(|start| format!("{} {start}", p.name))).collect()
}

/// One NIST problem to all digits.
#[divan::bench(args = searches())]
fn nist_problem(bencher: Bencher<'_, '_>, search: &str) {
    let Some((name, start)) = search.split_once(' ') else { return };
    let Some(problem) = nist::problems().into_iter().find(|p| p.name == name) else { return };
    let model = Automatic(&problem);
    let start = &problem.starts[usize::from(start == "2")];
    bencher.bench_local(|| minimize(&model, start, &Options::default()));
}

/// 8,000 starts over the paper's over-training runs.
#[divan::bench(args = ["transformer", "xlstm"], sample_count = 5)]
fn headline_fit(bencher: Bencher<'_, '_>, arch: &str) {
    let Some(runs) = workload::headline_runs(arch) else {
        println!("skipped: no paper-runs (set GRADUS_REFERENCE)");
        return;
    };
    bencher.bench_local(|| workload::headline_fit(&runs));
}

/// 10,000 refits of four parabolas twice over and three power laws.
#[divan::bench(sample_count = 5)]
fn isoflop_bootstrap_10000(bencher: Bencher<'_, '_>) {
    let runs = workload::isoflop_runs();
    bencher.bench_local(|| workload::isoflop_bootstrap(&runs, 10_000));
}
