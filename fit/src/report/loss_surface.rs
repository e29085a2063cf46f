//! The loss surface.

use super::isoflop::spread;
use super::{Request, Section, What, weights, with_error};
use crate::FitError;
use crate::laws::loss_surface::{self, LossSurface, NAMES, Settings};
use crate::plot::{Mark, Plot};
use crate::statistics::distribution::sample_quantile;
use crate::statistics::{Interval, MIN_POINTS};
use crate::table::Table;
use serde_json::json;

pub(super) fn section(table: &Table, request: &Request, notes: &mut Vec<String>) -> Result<Section, FitError> {
    let settings = match &request.what {
        What::LossSurface(settings) => settings.clone(),
        _ => Settings::default(),
    };
    let (params, tokens, losses) =
        (table.positive("n_params")?, table.positive("n_tokens")?, table.positive("val_loss")?);
    let weights = weights(table, request)?;
    if table.has("val_loss") && losses.iter().any(|l| *l > 8.0) {
        notes.push("losses above 8 nats: diverged runs?".into());
    }
    let found = loss_surface::fit(&params, &tokens, &losses, request.weight.as_ref().map(|_| &weights[..]), &settings)?;
    let best = &found.best;
    let p = &best.parameters;
    let mut text = format!(
        "L(N, D) = e^e + (e^a·N^−alpha + e^b·D^−beta)^gamma, {} runs, Huber delta {}\n",
        best.points, settings.huber_delta
    );
    let refits = if request.bootstrap > 0 && best.points >= MIN_POINTS {
        let runs = [&params[..], &tokens, &losses];
        let weights = request.weight.as_ref().map(|_| &weights[..]);
        loss_surface::bootstrap(runs, weights, &settings, best, request.bootstrap, request.seed)?
    } else {
        Vec::new()
    };
    let spread_of = |quantity: &dyn Fn(&[f64]) -> f64| -> Option<Interval> {
        let mut values: Vec<f64> = refits.iter().map(|r| quantity(r)).collect();
        let tail = 0.5 - 0.5 * request.level;
        let mut at = |probability| sample_quantile(&mut values, probability);
        (!refits.is_empty()).then(|| Interval { low: at(tail), high: at(1.0 - tail) })
    };
    let intervals: Vec<Option<Interval>> = (0..6).map(|j| spread_of(&|r| r[j])).collect();
    let level = 100.0 * request.level;
    for (j, name) in NAMES.iter().enumerate() {
        text.push_str(&format!("{name:>6} = {}", with_error(p[j], best.standard_errors[j])));
        if let Some(i) = intervals[j].filter(|_| best.free.contains(&j)) {
            text.push_str(&format!("   resampled runs, {level:.0} %: {:.4} to {:.4}", i.low, i.high));
        }
        text.push('\n');
    }
    if !refits.is_empty() && refits.len() < request.bootstrap {
        text.push_str(&format!(
            "{} of {} refits did not converge\n",
            request.bootstrap - refits.len(),
            request.bootstrap
        ));
    }
    if request.bootstrap > 0 && best.points < MIN_POINTS {
        text.push_str(&format!("no bootstrap: {} runs, it needs {MIN_POINTS}\n", best.points));
    }
    text.push_str(&format!(
        "E = {:.4}, A = {:.4e}, B = {:.4e}\nsummed Huber loss {:.6e}; {}; rank {} of {}, condition {:.1e}\n",
        p[2].exp(),
        p[0].exp(),
        p[1].exp(),
        best.objective / 2.0,
        best.outcome,
        best.information.rank,
        best.free.len(),
        best.information.condition
    ));
    let hits = found.minima.first().map_or(0, |m| m.hits);
    text.push_str(&format!(
        "{} starts, {} searched to the end, {hits} of them ended here; {} distinct minima\n",
        found.started,
        found.started - found.rejected - found.not_finite,
        found.minima.len()
    ));
    let free_names: Vec<String> = best.free.iter().map(|&j| best.names[j].clone()).collect();
    for combination in best.information.describe(&free_names) {
        text.push_str(&format!("NOT DETERMINED by these runs: {combination}\n"));
    }
    let mut relative: Vec<f64> = best.residuals.iter().map(|r| r.abs()).collect();
    let median = sample_quantile(&mut relative, 0.5);
    text.push_str(&format!(
        "residuals: median {:.3} %, largest {:.3} % of the loss\n",
        100.0 * median,
        100.0 * relative.last().copied().unwrap_or(0.0)
    ));
    let (kappa, slope) = allocation(p);
    text.push_str(&format!(
        "Along the frontier of this law N* grows as C^{kappa:.4} and D* as C^{slope:.4} (for C = 6·N·D).\n"
    ));
    let exponent = spread_of(&|r| allocation(r).0);
    if let Some(i) = exponent {
        text.push_str(&format!(
            "The first of these exponents over resampled runs, {level:.0} %: {:.4} to {:.4}.\n",
            i.low, i.high
        ));
    }
    let covariance: Vec<f64> = best.information.inverse.iter().map(|v| v * best.variance).collect();
    let law = json!({
        "parameters": p, "names": NAMES, "free": best.free, "covariance": covariance,
        "freedom": best.freedom(),
        "params_range": range(&params), "tokens_range": range(&tokens),
    });
    Ok(Section {
        group: Vec::new(),
        text,
        fit: json!({ "law": law, "objective": best.objective / 2.0, "params_exponent": kappa, "huber_delta": settings.huber_delta,
                     "bootstrap": { "refits": refits.len(), "parameters": intervals, "params_exponent": exponent },
                     "result": best, "minima": found.minima.iter().take(10).collect::<Vec<_>>(),
                     "started": found.started, "rejected": found.rejected }),
        plots: plots(p, &params, &tokens, &losses),
    })
}

fn range(values: &[f64]) -> (f64, f64) {
    values.iter().fold((f64::INFINITY, 0.0), |(l, h), v| (l.min(*v), h.max(*v)))
}

/// Exponents of N* and D* in C = 6·N·D: β/(α+β) and α/(α+β).
fn allocation(p: &[f64]) -> (f64, f64) {
    (p[4] / (p[3] + p[4]), p[3] / (p[3] + p[4]))
}

fn plots(p: &[f64], params: &[f64], tokens: &[f64], losses: &[f64]) -> Vec<Plot> {
    let mut contours = Plot::new("Loss surface", ("parameters", true), ("tokens", true));
    contours.add("runs", Mark::Dots, 7, params.iter().copied().zip(tokens.iter().copied()).collect());
    let (low, high) = range(params);
    let (least, most) = range(tokens);
    let (best, worst) = range(losses);
    for k in 0..6 {
        let level = best + (worst - best) * (f64::from(k) + 0.5) / 6.0;
        let line: Vec<(f64, f64)> = spread(low / 1.5, high * 1.5, 400)
            .into_iter()
            .filter_map(|n| Some((n, tokens_at(p, n, level)?)))
            .filter(|(_, d)| (least / 3.0..most * 3.0).contains(d))
            .collect();
        contours.add(&format!("L = {level:.2}"), Mark::Line, k as usize, line);
    }
    let mut residuals = Plot::new("Residuals", ("loss (nats/token)", false), ("ln(law) - ln(loss)", false));
    let points = (0..losses.len()).map(|i| {
        let predicted: f64 = LossSurface::ln_loss(params[i].ln(), tokens[i].ln(), p);
        (losses[i], predicted - losses[i].ln())
    });
    residuals.add("", Mark::Dots, 0, points.collect());
    residuals.level(0.0);
    vec![contours, residuals]
}

/// Tokens at which N parameters reach a loss; None if they never do.
fn tokens_at(p: &[f64], params: f64, loss: f64) -> Option<f64> {
    let reducible = (loss - p[2].exp()).powf(1.0 / p[5]) - (p[0] - p[3] * params.ln()).exp();
    let tokens = ((p[1] - reducible.ln()) / p[4]).exp();
    (reducible > 0.0 && tokens.is_finite()).then_some(tokens)
}
