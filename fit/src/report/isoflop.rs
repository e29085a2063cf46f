//! IsoFLOP profiles.

use super::{Request, Section, What, quantity, weights, with_error};
use crate::FitError;
use crate::laws::isoflop::{self, Isoflop, LawSample, Run};
use crate::laws::optimum_law::OptimumLaw;
use crate::laws::power_law::PowerLaw;
use crate::plot::{Mark, Plot};
use crate::statistics::{Interval, Resample, distribution::sample_quantile};
use crate::table::Table;
use serde_json::{Value, json};

/// Reads the runs; rows without a budget are left out. Without a budget column, runs whose FLOPs differ
/// by less than 10 % from their neighbours share one.
pub(super) fn runs(table: &Table, request: &Request, notes: &mut Vec<String>) -> Result<Vec<Run>, FitError> {
    let table = if table.has("isoflop") {
        let labels = table.text("isoflop")?;
        let rows: Vec<usize> = (0..table.len()).filter(|&i| !labels[i].is_empty()).collect();
        if rows.len() < table.len() {
            notes.push(format!("{} rows without a budget in `isoflop` left out", table.len() - rows.len()));
        }
        if rows.is_empty() {
            return Err(FitError::Data("no row has a budget in column `isoflop`".into()));
        }
        table.take(&rows)
    } else {
        table.clone()
    };
    let flops = table.positive("flops_train")?;
    let budgets = if table.has("isoflop") { table.positive("isoflop")? } else { clusters(&flops) };
    let (params, tokens, losses) =
        (table.positive("n_params")?, table.positive("n_tokens")?, table.positive("val_loss")?);
    let weights = weights(&table, request)?;
    Ok((0..table.len())
        .map(|i| Run {
            budget: budgets[i],
            flops: flops[i],
            params: params[i],
            tokens: tokens[i],
            loss: losses[i],
            weight: weights[i],
        })
        .collect())
}

/// A label for each run: the geometric mean of its cluster, to three digits.
fn clusters(flops: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..flops.len()).collect();
    order.sort_by(|&a, &b| flops[a].total_cmp(&flops[b]));
    let mut labels = vec![0.0; flops.len()];
    let mut start = 0;
    for k in 1..=order.len() {
        if k == order.len() || flops[order[k]] > 1.1 * flops[order[k - 1]] {
            let members = &order[start..k];
            let mean = (members.iter().map(|&i| flops[i].ln()).sum::<f64>() / members.len() as f64).exp();
            let label = format!("{mean:.2e}").parse().unwrap_or(mean);
            members.iter().for_each(|&i| labels[i] = label);
            start = k;
        }
    }
    labels
}

/// What a prediction needs of a power law: the line in logarithms about its centre.
pub(super) fn law_json(law: &PowerLaw, level: f64) -> Value {
    let variance = if law.line.freedom > 0 { law.line.objective / law.line.freedom as f64 } else { f64::INFINITY };
    let covariance: Vec<f64> = law.line.inverse.iter().map(|v| v * variance).collect();
    let (low, high) = law.exponent_interval(level);
    let (least, most) = law.coefficient_interval(level);
    json!({
        "coefficient": law.coefficient,
        "coefficient_interval": Interval { low: least, high: most },
        "exponent": law.exponent,
        "exponent_error": law.exponent_error,
        "exponent_interval": Interval { low, high },
        "ln_coefficient_error": law.ln_coefficient_error,
        "r_squared": law.line.r_squared,
        "freedom": law.line.freedom,
        "centre": law.centre,
        "ln_value_at_centre": law.line.coefficients[0],
        "covariance": covariance,
    })
}

/// The same through optima: with the covariance that the noise of the runs gives, and the spread of the
/// exponent over resampled runs.
fn optimum_law_json(law: &OptimumLaw, exponents: &mut [f64], level: f64) -> Value {
    let mut value = law_json(&law.line, level);
    let (low, high) = law.exponent_interval(level);
    value["exponent_interval"] = json!(Interval { low, high });
    value["exponent_error"] = json!(law.exponent_error());
    let (low, high) = law.coefficient_interval(level);
    value["coefficient_interval"] = json!(Interval { low, high });
    value["runs_covariance"] = json!(law.runs_covariance);
    value["runs_freedom"] = json!(law.runs_freedom);
    value["exponent_bootstrap"] = json!((!exponents.is_empty()).then(|| interval(exponents, level)));
    value
}

fn interval(values: &mut [f64], level: f64) -> Interval {
    let tail = 0.5 - 0.5 * level;
    Interval { low: sample_quantile(values, tail), high: sample_quantile(values, 1.0 - tail) }
}

pub(super) fn section(table: &Table, request: &Request, notes: &mut Vec<String>) -> Result<Section, FitError> {
    let range = match &request.what {
        What::Isoflop(range) => *range,
        _ => (0.0, f64::INFINITY),
    };
    let runs = runs(table, request, notes)?;
    let fit = isoflop::fit(&runs, range)?;
    let samples = if request.bootstrap > 0 && runs.len() >= crate::statistics::MIN_POINTS {
        isoflop::bootstrap(&runs, range, Resample::Residuals, request.bootstrap, request.seed)?
    } else {
        Vec::new()
    };
    let exponents = |f: fn(&LawSample) -> f64| samples.iter().map(f).collect::<Vec<f64>>();
    let law = json!({
        "params": optimum_law_json(&fit.params, &mut exponents(|s| s.params.1), request.level),
        "tokens": optimum_law_json(&fit.tokens, &mut exponents(|s| s.tokens.1), request.level),
        "loss": optimum_law_json(&fit.loss, &mut exponents(|s| s.loss.1), request.level),
        "flops_range": range_of(fit.profiles.iter().filter(|p| !fit.left_out.contains(&p.budget))),
    });
    let profiles: Vec<Value> = fit
        .profiles
        .iter()
        .map(|p| {
            let parabola = |q: &isoflop::Parabola| {
                let [a, b, c] = q.plain();
                let (optimum, loss) = (q.optimum_interval(request.level), q.loss_interval(request.level));
                json!({ "a": a, "b": b, "c": c, "optimum": q.optimum, "log10_optimum_error": q.log_optimum_error,
                        "optimum_interval": Interval { low: optimum.0, high: optimum.1 },
                        "loss": q.loss, "loss_error": q.loss_error,
                        "loss_interval": Interval { low: loss.0, high: loss.1 },
                        "inside": q.inside, "r_squared": q.regression.r_squared })
            };
            json!({ "budget": p.budget, "flops_mean": p.flops, "runs": p.runs,
                    "used": !fit.left_out.contains(&p.budget),
                    "params": parabola(&p.params), "tokens": parabola(&p.tokens) })
        })
        .collect();
    Ok(Section {
        group: Vec::new(),
        text: text(&fit, &samples, request),
        fit: json!({ "law": law, "profiles": profiles, "left_out": fit.left_out }),
        plots: plots(&fit, &runs, request.level),
    })
}

/// Least and largest compute of the budgets.
fn range_of<'a>(profiles: impl Iterator<Item = &'a isoflop::Profile>) -> (f64, f64) {
    profiles.fold((f64::INFINITY, 0.0), |(l, h), p| (l.min(p.flops), h.max(p.flops)))
}

fn text(fit: &Isoflop, samples: &[LawSample], request: &Request) -> String {
    let mut out = String::from("    budget    mean C    runs        N*      ±%   loss there        D*      ±%\n");
    let percent = |log_error: f64| 100.0 * log_error * std::f64::consts::LN_10;
    for p in &fit.profiles {
        let outside = if p.params.inside && p.tokens.inside { "" } else { "  optimum outside the sizes tried" };
        let left = if fit.left_out.contains(&p.budget) { "  not in the laws" } else { "" };
        out.push_str(&format!(
            "{:>10.1e} {:>9.3e} {:>7} {:>9} {:>7.1} {:>12.4} {:>9} {:>7.1}{left}{outside}\n",
            p.budget,
            p.flops,
            p.runs,
            quantity(p.params.optimum),
            percent(p.params.log_optimum_error),
            p.params.loss,
            quantity(p.tokens.optimum),
            percent(p.tokens.log_optimum_error),
        ));
    }
    let level = 100.0 * request.level;
    for (name, law, pick) in [
        ("N*", &fit.params, (|s: &LawSample| s.params.1) as fn(&LawSample) -> f64),
        ("D*", &fit.tokens, |s| s.tokens.1),
        ("loss", &fit.loss, |s| s.loss.1),
    ] {
        let (low, high) = law.exponent_interval(request.level);
        out.push_str(&format!(
            "{name:>4} = {:.6} · C^({})   {level:.0} %: {low:.4} to {high:.4}   R² {:.6}",
            law.line.coefficient,
            with_error(law.exponent(), law.exponent_error()),
            law.line.line.r_squared
        ));
        if !samples.is_empty() {
            let i = interval(&mut samples.iter().map(pick).collect::<Vec<f64>>(), request.level);
            out.push_str(&format!("   by resampled runs alone: {:.4} to {:.4}", i.low, i.high));
        }
        out.push('\n');
    }
    out.push_str(
        "Errors are the larger of what the noise of the runs and the scatter of the optima about the law give.\n",
    );
    if fit.params.line.line.freedom == 0 {
        out.push_str("Two budgets leave nothing to judge the laws by: their errors are not known.\n");
    }
    if let Some(largest) = fit.profiles.iter().rev().find(|p| !fit.left_out.contains(&p.budget)) {
        let c = largest.budget;
        let (n0, n1) = fit.params.interval(c, request.level);
        let (d0, d1) = fit.tokens.interval(c, request.level);
        out.push_str(&format!(
            "At {c:.0e} FLOPs train {} parameters on {} tokens; {level:.0} %: {} to {}, {} to {}.\n",
            quantity(fit.params.at(c)),
            quantity(fit.tokens.at(c)),
            quantity(n0),
            quantity(n1),
            quantity(d0),
            quantity(d1)
        ));
    }
    for size in [1e9, 8e9] {
        let (c, d, ratio) = fit.for_size(size);
        out.push_str(&format!(
            "{} parameters are optimal at {c:.2e} FLOPs, with {} tokens ({ratio:.1} a parameter).\n",
            quantity(size),
            quantity(d)
        ));
    }
    let worst =
        fit.profiles.iter().flat_map(|p| p.params.regression.residuals.iter()).fold(0.0_f64, |s, r| s.max(r.abs()));
    out.push_str(&format!("Largest distance of a run from its parabola: {worst:.4} nats.\n"));
    out
}

fn plots(fit: &Isoflop, runs: &[Run], level: f64) -> Vec<Plot> {
    let mut parabolas = Plot::new("IsoFLOP profiles", ("parameters", true), ("loss (nats/token)", false));
    let mut residuals = Plot::new("Residuals", ("parameters", true), ("parabola - loss", false));
    let mut optima = Vec::new();
    for (colour, p) in fit.profiles.iter().enumerate() {
        let group: Vec<&Run> = runs.iter().filter(|r| r.budget == p.budget).collect();
        let (low, high) = group.iter().fold((f64::INFINITY, 0.0_f64), |(l, h), r| (l.min(r.params), h.max(r.params)));
        parabolas.add(
            &format!("{:.0e} FLOPs", p.budget),
            Mark::Dots,
            colour,
            group.iter().map(|r| (r.params, r.loss)).collect(),
        );
        let curve = spread(low, high, 60).into_iter().map(|n| (n, p.params.at(n))).collect();
        parabolas.add("", Mark::Line, colour, curve);
        optima.push((p.params.optimum, p.params.loss));
        residuals.add(
            "",
            Mark::Dots,
            colour,
            group.iter().map(|r| (r.params, p.params.at(r.params) - r.loss)).collect(),
        );
    }
    residuals.level(0.0);
    parabolas.add("optimum", Mark::Rings, 7, optima);
    let mut plots = vec![parabolas];
    let (low, high) = range_of(fit.profiles.iter());
    let grid = spread(low / 2.0, high * 4.0, 50);
    for (title, label, law, optimum) in [
        ("Compute-optimal size", "parameters N*", &fit.params, (|p| p.params.optimum) as fn(&isoflop::Profile) -> f64),
        ("Compute-optimal tokens", "tokens D*", &fit.tokens, |p| p.tokens.optimum),
        ("Loss at the optimum", "loss (nats/token)", &fit.loss, |p| p.params.loss),
    ] {
        let mut plot = Plot::new(title, ("training FLOPs", true), (label, true));
        let mut band: Vec<(f64, f64)> = grid.iter().map(|c| (*c, law.interval(*c, level).0)).collect();
        band.extend(grid.iter().rev().map(|c| (*c, law.interval(*c, level).1)));
        if band.iter().all(|p| p.1.is_finite() && p.1 > 0.0) {
            plot.add("", Mark::Band, 0, band);
        }
        plot.add(
            "optima of the profiles",
            Mark::Rings,
            0,
            fit.profiles.iter().map(|p| (p.flops, optimum(p))).collect(),
        );
        plot.add("", Mark::Line, 0, grid.iter().map(|c| (*c, law.at(*c))).collect());
        plots.push(plot);
    }
    plots.push(residuals);
    plots
}

/// `count` values from low to high, evenly in logarithms.
pub(super) fn spread(low: f64, high: f64, count: usize) -> Vec<f64> {
    (0..=count).map(|k| low * (high / low).powf(k as f64 / count as f64)).collect()
}
