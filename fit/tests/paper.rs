//! The published scaling-law fits, made again from the published runs.

mod reference;

use gradus_fit::counts::Inference;
use gradus_fit::laws::isoflop::{self, Run};
use gradus_fit::laws::timing::{self, Residual, Settings, Timing};
use gradus_fit::laws::{context, loss_surface, overtraining, pareto};
use gradus_fit::multistart::{Effort, MultiResult};
use reference::{Rows, read};

#[track_caller]
fn close(found: f64, expected: f64, bound: f64, what: &str) {
    assert!((found - expected).abs() <= bound * expected.abs(), "{what}: {found} is not {expected} to {bound}");
}

fn isoflop_runs(table: &Rows, arch: &str, ctx: &str, doubled: bool) -> Vec<Run> {
    table
        .rows
        .iter()
        .filter(|r| {
            table.text(r, "arch") == arch
                && table.text(r, "experiment_set") == "isoflop"
                && table.text(r, "ctx") == ctx
                && table.text(r, "selected") == "1"
        })
        .map(|r| Run {
            budget: table.number(r, "isoflop"),
            flops: table.number(r, "flops_train"),
            params: table.number(r, "n_params"),
            tokens: table.number(r, "n_tokens"),
            loss: table.number(r, "val_loss"),
            weight: if doubled { table.number(r, "multiplicity") } else { 1.0 },
        })
        .collect()
}

const FOUR: (f64, f64) = (5e18, 2e20);
const THREE: (f64, f64) = (5e18, 5e19);

#[test]
fn isoflop_optima_and_power_laws() {
    let (Some(table), Some(optima), Some(laws)) =
        (read("runs.csv"), read("isoflop_optima.csv"), read("isoflop_power_laws.csv"))
    else {
        return;
    };
    for row in &optima.rows {
        let (arch, ctx, x) = (optima.text(row, "arch"), optima.text(row, "ctx"), optima.text(row, "x"));
        for (doubled, prefix) in [(true, "refit"), (false, "dedup")] {
            let profiles = isoflop::profiles(&isoflop_runs(&table, arch, ctx, doubled)).expect("profiles");
            let budget = optima.number(row, "isoflop");
            let profile = profiles.iter().find(|p| p.budget == budget).expect("the budget");
            let over = if x == "n_params" { &profile.params } else { &profile.tokens };
            let what = format!("{arch} {ctx} {budget:e} {x} {prefix}");
            assert_eq!(profile.runs, optima.number(row, &format!("{prefix}_n")), "{what}");
            close(over.optimum, optima.number(row, &format!("{prefix}_x_opt")), 1e-5, &what);
            close(over.loss, optima.number(row, &format!("{prefix}_loss_opt")), 1e-6, &what);
            close(profile.flops, optima.number(row, &format!("{prefix}_flops_mean")), 1e-6, &what);
            if arch == "transformer" && !optima.text(row, "pub_x_opt").is_empty() {
                close(over.optimum, optima.number(row, "pub_x_opt"), 1e-5, &what);
                for (found, column) in over.plain().iter().zip(["pub_a", "pub_b", "pub_c"]) {
                    close(*found, optima.number(row, column), 1e-5, &what);
                }
                for (j, column) in ["pub_a_std", "pub_b_std", "pub_c_std"].iter().enumerate().take(1) {
                    close(over.regression.standard_errors[2 - j], optima.number(row, column), 1e-4, &what);
                }
            }
        }
    }
    for row in &laws.rows {
        let (arch, ctx) = (laws.text(row, "arch"), laws.text(row, "ctx"));
        let range = if laws.text(row, "budgets") == "4budgets" { FOUR } else { THREE };
        for (doubled, prefix) in [(true, "refit"), (false, "dedup")] {
            let fit = isoflop::fit(&isoflop_runs(&table, arch, ctx, doubled), range).expect("laws");
            let law = if laws.text(row, "y") == "n_params" { &fit.params } else { &fit.tokens };
            let what = format!("{arch} {ctx} {} {prefix}", laws.text(row, "y"));
            close(law.line.exponent, laws.number(row, &format!("{prefix}_exp")), 1e-5, &what);
            // The value at one FLOP, 44 e-folds from the runs: 5e-7 of the exponent.
            close(law.line.coefficient, laws.number(row, &format!("{prefix}_coef")), 2e-5, &what);
            if arch == "transformer" {
                close(law.line.exponent, laws.number(row, "pub_exp"), 1e-5, &what);
            }
        }
    }
    let xlstm = isoflop::fit(&isoflop_runs(&table, "xlstm", "8192", true), FOUR).expect("laws");
    close(xlstm.params.at(6.024e20), 2.84e9, 2e-3, "prediction for the budget of 6e20");
    assert_eq!(xlstm.left_out, [6e20]);
    let (flops, tokens, _) = xlstm.for_size(1e9);
    close(flops, 8.97e19, 1e-3, "compute for 1B");
    close(tokens, 16.4e9, 3e-3, "tokens for 1B");
}

#[test]
fn compute_optimal_sizes_shrink_with_context_for_transformers() {
    let Some(table) = read("runs.csv") else { return };
    for (arch, shrinks, rises) in [("transformer", 0.144, 0.0650), ("xlstm", 0.046, 0.0166)] {
        let at = |ctx: &str, tokens: f64| context::AtContext {
            context: tokens,
            profiles: isoflop::profiles(&isoflop_runs(&table, arch, ctx, true)).expect("profiles"),
        };
        let law = context::fit(vec![at("8192", 8192.0), at("2048", 2048.0)]).expect("contexts");
        let change = law.changes.iter().find(|c| c.budget == 3e19).expect("3e19");
        assert!((1.0 - change.params_ratio - shrinks).abs() < 1e-3, "{arch}: {change:?}");
        assert!((change.loss_difference - rises).abs() < 1e-3, "{arch}: {change:?}");
        let joint = law.params.expect("six optima");
        println!("{arch}: N* ~ C^{:.3} T^{:.3} ± {:.3}", joint.by_compute, joint.by_context, joint.by_context_error);
    }
}

fn tokenparam<'a>(table: &'a Rows, arch: &'a str) -> impl Iterator<Item = &'a Vec<String>> {
    table.rows.iter().filter(move |r| {
        table.text(r, "arch") == arch
            && table.text(r, "experiment_set") == "tokenparam"
            && table.text(r, "selected") == "1"
    })
}

#[test]
fn overtraining_slopes() {
    let (Some(table), Some(slopes)) = (read("runs.csv"), read("overtraining_slopes.csv")) else { return };
    for arch in ["transformer", "xlstm"] {
        let runs: Vec<overtraining::Run> = tokenparam(&table, arch)
            .filter(|r| table.text(r, "preset_ratio") != "extra" && table.text(r, "size") != "7B-long")
            .map(|r| overtraining::Run {
                ratio: table.number(r, "preset_ratio"),
                flops: table.number(r, "flops_train"),
                loss: table.number(r, "val_loss"),
                weight: 1.0,
            })
            .collect();
        let (found, _) = overtraining::fit(&runs).expect("slopes");
        // The published Transformer slopes use the causal count, labelled `distill` there.
        let mode = if arch == "transformer" { "distill" } else { "first" };
        for row in slopes.rows.iter().filter(|r| slopes.text(r, "arch") == arch && slopes.text(r, "flop_mode") == mode)
        {
            let ratio = slopes.number(row, "token_param_ratio");
            let slope = found.iter().find(|s| s.ratio == ratio).expect("the ratio");
            // Printed to six decimals.
            let printed = slopes.number(row, "slope");
            assert!((slope.eta + printed).abs() <= 1e-6, "{arch} {ratio}: {} is not {printed}", -slope.eta);
            close(slope.law.coefficient.ln(), slopes.number(row, "intercept"), 1e-5, &format!("{arch} {ratio}"));
            if slope.runs > 2 {
                close(slope.eta_error.powi(2), slopes.number(row, "var_slope"), 1e-4, &format!("{arch} {ratio}"));
            } else {
                assert!(slope.eta_error.is_infinite());
            }
        }
    }
}

#[test]
fn pareto_hull_and_compute_ratios() {
    let (Some(table), Some(points)) = (read("runs.csv"), read("pareto_points.csv")) else { return };
    let mut hulls = Vec::new();
    for arch in ["transformer", "xlstm"] {
        let runs: Vec<(f64, f64)> =
            tokenparam(&table, arch).map(|r| (table.number(r, "flops_train"), table.number(r, "val_loss"))).collect();
        let hull = pareto::hull(&runs, pareto::Space::Linear).expect("positive");
        let published: Vec<(f64, f64)> = points
            .rows
            .iter()
            .filter(|r| points.text(r, "arch") == arch)
            .map(|r| (points.number(r, "flops_train"), points.number(r, "val_loss")))
            .collect();
        assert_eq!(hull.len(), published.len());
        for (ours, theirs) in hull.iter().zip(&published) {
            // Published with another count of the cell, which differs by less than 1e-4.
            close(ours.0, theirs.0, 1e-4, arch);
            close(ours.1, theirs.1, 1e-6, arch);
        }
        assert!(pareto::hull(&runs, pareto::Space::Logarithmic).expect("positive").len() < hull.len());
        hulls.push(published);
    }
    for (loss, ratio) in [(3.1, 1.90), (2.9, 2.19), (2.7, 1.79), (2.5, 1.61), (2.3, 1.42), (2.2, 1.51)] {
        let found = pareto::compute_ratio(&hulls[0], &hulls[1], loss).expect("inside both");
        assert!((found - ratio).abs() < 0.006, "{loss}: {found} is not {ratio}");
    }
}

fn surface(table: &Rows, rows: &[&Vec<String>], settings: &loss_surface::Settings) -> MultiResult {
    let column = |c: &str| rows.iter().map(|r| table.number(r, c)).collect::<Vec<f64>>();
    loss_surface::fit(&column("n_params"), &column("n_tokens"), &column("val_loss"), None, settings).expect("a surface")
}

#[test]
fn loss_surfaces_reach_the_published_objective() {
    let Some(table) = read("runs.csv") else { return };
    let published = [
        ("transformer", true, 7.147456e-5, [11.99, 13.36, 0.0119, 0.5273, 0.5082, 0.2934]),
        ("xlstm", true, 8.557079e-5, [16.22, 17.31, 0.1135, 0.7275, 0.6708, 0.2387]),
        ("transformer", false, 1.385063e-4, [2.884, 3.603, -0.1464, 0.1287, 0.1716, 1.0]),
        ("xlstm", false, 1.983360e-4, [3.649, 4.539, 0.2333, 0.1746, 0.2311, 1.0]),
    ];
    for (arch, free_gamma, objective, expected) in published {
        let rows: Vec<_> = tokenparam(&table, arch).collect();
        let points: Vec<(f64, f64)> =
            rows.iter().map(|r| (table.number(r, "n_params").ln(), table.number(r, "n_tokens").ln())).collect();
        let started = std::time::Instant::now();
        let found = surface(&table, &rows, &loss_surface::Settings { free_gamma, ..Default::default() });
        let best = &found.best;
        println!(
            "{arch}, gamma free {free_gamma}: {:.6e} from {} starts in {:?}",
            best.objective / 2.0,
            found.started,
            started.elapsed()
        );
        // The published figures have seven digits.
        assert!(best.objective / 2.0 <= objective * (1.0 + 3e-7), "{arch}: {:e}", best.objective / 2.0);
        assert!(best.outcome.converged());
        for (n, d) in points {
            let ours: f64 = loss_surface::LossSurface::ln_loss(n, d, &best.parameters);
            let theirs: f64 = loss_surface::LossSurface::ln_loss(n, d, &expected);
            close(ours.exp(), theirs.exp(), 1e-3, arch);
        }
    }
}

#[test]
fn the_headline_fits_do_not_depend_on_seed_or_threads() {
    let Some(table) = read("runs.csv") else { return };
    for (arch, objective) in [("transformer", 7.147456e-5), ("xlstm", 8.557079e-5)] {
        let rows: Vec<_> = tokenparam(&table, arch).collect();
        for seed in 0..8 {
            let settings = loss_surface::Settings { spread: Some((200, seed)), ..Default::default() };
            let found = surface(&table, &rows, &settings).best.objective / 2.0;
            assert!(found <= objective * (1.0 + 3e-7), "{arch} from seed {seed}: {found:e}");
        }
        let settings = loss_surface::Settings { spread: Some((100, 1)), ..Default::default() };
        let results: Vec<MultiResult> = [1, 2, 5]
            .map(|threads| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
                pool.install(|| surface(&table, &rows, &settings))
            })
            .into();
        assert_eq!(results[0], results[1]);
        assert_eq!(results[0], results[2]);
    }
}

#[test]
fn compute_optimal_sizes_of_the_authors_table() {
    let (Some(table), Some(optimal)) = (read("runs.csv"), read("compute_optimal_table.csv")) else { return };
    let mut compared = 0;
    for row in &optimal.rows {
        let (arch, ctx) = (optimal.text(row, "arch"), optimal.text(row, "ctx"));
        let range = if optimal.text(row, "law") == "4budgets" { FOUR } else { THREE };
        let runs = isoflop_runs(&table, arch, ctx, true);
        if runs.is_empty() {
            continue;
        }
        let (flops, tokens, ratio) =
            isoflop::fit(&runs, range).expect("laws").for_size(optimal.number(row, "n_params"));
        let what = format!("{arch} {ctx} {}", optimal.text(row, "n_params"));
        // Printed to three digits; the xLSTM rows rest on digitised losses.
        let bound = if arch == "transformer" { 6e-3 } else { 2e-2 };
        close(flops, optimal.number(row, "flops_opt"), bound, &what);
        close(tokens, optimal.number(row, "tokens_opt"), bound, &what);
        // Some have two digits.
        close(ratio, optimal.number(row, "token_param_ratio"), 2e-2, &what);
        compared += 1;
    }
    println!("{compared} rows of the table");
    assert!(compared >= 8, "{compared}");
}

#[test]
fn loss_surfaces_of_other_sets_and_deltas_are_no_worse_than_published() {
    let (Some(table), Some(fits)) = (read("runs.csv"), read("parametric_fits.csv")) else { return };
    let mut compared = 0;
    for row in &fits.rows {
        let (arch, set) = (fits.text(row, "arch"), fits.text(row, "experiment_set"));
        let delta = fits.number(row, "huber_delta");
        let whole = fits.text(row, "token_param_range") == "0-5000";
        // xLSTM sets with IsoFLOP runs hold digitised losses, which the published objective does not.
        if !whole || !(1e-4..=1.0).contains(&delta) || (arch == "xlstm" && set != "tokenparam") {
            continue;
        }
        let rows: Vec<_> = table
            .rows
            .iter()
            .filter(|r| {
                let own = table.text(r, "experiment_set");
                table.text(r, "arch") == arch
                    && table.text(r, "ctx") == "8192"
                    && table.text(r, "selected") == "1"
                    && (own == set || (set == "all" && (own == "isoflop" || own == "tokenparam")))
            })
            .collect();
        let free_gamma = fits.text(row, "fit_gamma") == "True";
        // A coarse part of the grid is enough for the same minima.
        let settings = loss_surface::Settings {
            huber_delta: delta,
            free_gamma,
            grid: vec![
                vec![5.0, 15.0],
                vec![5.0, 15.0],
                vec![-0.5, 0.5],
                vec![0.2, 0.5],
                vec![0.2, 0.5],
                vec![0.3, 0.6, 1.0],
            ],
            effort: Effort { screening: 20, finalists: 8 },
            spread: None,
        };
        let found = surface(&table, &rows, &settings);
        let (ours, theirs) = (found.best.objective / 2.0, fits.number(row, "objective"));
        assert!(ours <= theirs * (1.0 + 1e-5), "{arch} {set} {delta} {free_gamma}: {ours:e}, published {theirs:e}");
        compared += 1;
    }
    println!("{compared} published settings, none below ours");
    assert!(compared >= 16, "{compared}");
}

fn timings(table: &Rows, models: &Rows, arch: &str, model: &str, column: &str, published: bool) -> Vec<Timing> {
    let row = models.rows.iter().find(|r| models.text(r, "arch") == arch && models.text(r, "model") == model);
    let shape = models.shape(row.expect("the model"), "d_ff_used_in_counts");
    table
        .rows
        .iter()
        .filter(|r| {
            table.text(r, "arch") == arch && table.text(r, "model") == model && table.number(r, "prefill") > 0.0
        })
        .map(|r| {
            let (batch, prefill) = (table.number(r, "batch"), table.number(r, "prefill"));
            let at = Inference { shape, batch };
            let step = column == "step_ms";
            Timing {
                flops: if step { at.step_flops(prefill) } else { at.prefill_flops(prefill) },
                bytes: if step { at.step_bytes_over(prefill, 100.0) } else { at.prefill_bytes(prefill) },
                batch,
                seconds: table.number(r, column) * 1e-3,
                weight: if published { table.number(r, "boot_weight") } else { 1.0 },
            }
        })
        .collect()
}

#[test]
fn first_token_times() {
    let (Some(table), Some(models), Some(fits)) =
        (read("inference_ttft.csv"), read("inference_models.csv"), read("inference_fits_ttft.csv"))
    else {
        return;
    };
    for row in &fits.rows {
        let (arch, model) = (fits.text(row, "arch"), fits.text(row, "model"));
        let fit = |residual, published| {
            let data = timings(&table, &models, arch, model, "ttft_ms", published);
            timing::fit(&data, Settings { residual, ..Settings::first_token() }).expect("a fit")
        };
        let log = fit(Residual::Logarithm, false);
        let plain = fit(Residual::Milliseconds, false);
        let published = fit(Residual::SquaredHuber(1.0), true);
        for (law, prefix, alpha, eps) in
            [(&log, "log", 1e-4, 1e-4), (&plain, "ols", 1e-4, 1e-4), (&published, "pub", 1e-6, 1e-4)]
        {
            let what = format!("{arch} {model} {prefix}");
            close(law.result.parameters[0], fits.number(row, &format!("{prefix}_alpha_eff")), alpha, &what);
            close(law.result.parameters[2], fits.number(row, &format!("{prefix}_eps_s")), eps, &what);
            assert!(law.result.outcome.converged(), "{what}: {}", law.result.outcome);
        }
        close(log.log_r_squared.expect("positive"), fits.number(row, "log_r2"), 1e-5, model);
        close(log.median_relative_error, fits.number(row, "log_median_rel_err"), 0.02, model);
    }
}

#[test]
fn step_times() {
    let (Some(table), Some(models), Some(fits)) =
        (read("inference_step_time.csv"), read("inference_models.csv"), read("inference_fits_step_time.csv"))
    else {
        return;
    };
    for row in &fits.rows {
        let (arch, model) = (fits.text(row, "arch"), fits.text(row, "model"));
        let data: Vec<Timing> =
            timings(&table, &models, arch, model, "step_ms", false).into_iter().filter(|t| t.batch >= 8.0).collect();
        assert_eq!(data.len() as f64, fits.number(row, "n_points"));
        let law = timing::fit(&data, Settings::step()).expect("a fit");
        let what = format!("{arch} {model}");
        close(law.result.parameters[1], fits.number(row, "log_beta_eff"), 1e-4, &what);
        close(law.result.parameters[2], fits.number(row, "log_eps_s"), 1e-4, &what);
        close(law.result.parameters[3], fits.number(row, "log_eps_batch_s"), 1e-4, &what);
        assert_eq!(law.result.information.rank, 3);
    }
    // A recurrent model's bytes are affine in the batch: rate, constant and per-sequence cost cannot be
    // told apart, and the fit says so. Times made up from the byte counts of the 160M model.
    let models_row = models.rows.iter().find(|r| models.text(r, "arch") == "xlstm").expect("an xLSTM");
    let shape = models.shape(models_row, "d_ff_used_in_counts");
    let data: Vec<Timing> = [8.0, 16.0, 32.0, 64.0, 128.0, 256.0]
        .iter()
        .enumerate()
        .map(|(i, &batch)| {
            let at = Inference { shape, batch };
            let scatter = if i % 2 == 0 { 1.01 } else { 0.99 };
            let bytes = at.step_bytes(0.0);
            let seconds = (bytes / 1e12 + 1e-3) * scatter;
            Timing { flops: at.step_flops(0.0), bytes, batch, seconds, weight: 1.0 }
        })
        .collect();
    let law = timing::fit(&data, Settings::step()).expect("a fit");
    assert_eq!(law.result.information.rank, 2);
    assert!(law.result.standard_errors[1].is_infinite());
    assert_eq!(law.result.information.undetermined.len(), 1);
}
