//! What the speed of the fitter is measured on.

use gradus_fit::laws::isoflop::{self, Run};
use gradus_fit::laws::loss_surface::{self, Settings};
use gradus_fit::multistart::MultiResult;
use gradus_fit::statistics::Resample;
use gradus_fit::table::Table;
use std::path::PathBuf;

/// Four budgets of twelve runs each on parabolas, with a fixed pattern of errors of 0.003 nats.
pub fn isoflop_runs() -> Vec<Run> {
    let mut runs = Vec::new();
    for (b, flops) in [6e18, 1e19, 3e19, 1e20_f64].into_iter().enumerate() {
        for step in 0..12 {
            let place = 0.1 * (f64::from(step) - 5.5);
            let params = 0.008 * flops.powf(0.55) * 10f64.powf(place);
            let error = 0.003 * (f64::from(step * 7 + b as i32 * 5) * 1.7).sin();
            let loss = 30.0 * flops.powf(-0.05) + place * place + error;
            runs.push(Run { budget: flops, flops, params, tokens: flops / 6.0 / params, loss, weight: 1.0 });
        }
    }
    runs
}

/// Refits of an IsoFLOP law to resampled runs; how many succeeded.
pub fn isoflop_bootstrap(runs: &[Run], refits: usize) -> usize {
    isoflop::bootstrap(runs, (0.0, f64::INFINITY), Resample::Residuals, refits, 0).map_or(0, |s| s.len())
}

/// Parameters, tokens and losses of the paper's over-training runs, where they are at hand.
pub fn headline_runs(arch: &str) -> Option<[Vec<f64>; 3]> {
    let base = std::env::var_os("GRADUS_REFERENCE")
        .map(PathBuf::from)
        .unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/reference"));
    let table = Table::read(&base.join("paper-runs/runs.csv")).ok()?;
    let rows = table.filter(&format!("arch == {arch} and experiment_set == tokenparam and selected == 1")).ok()?;
    let column = |name: &str| rows.numbers(name).ok();
    Some([column("n_params")?, column("n_tokens")?, column("val_loss")?])
}

/// The headline fit from its full grid of 8,000 starts.
pub fn headline_fit([params, tokens, loss]: &[Vec<f64>; 3]) -> Option<MultiResult> {
    loss_surface::fit(params, tokens, loss, None, &Settings::default()).ok()
}
