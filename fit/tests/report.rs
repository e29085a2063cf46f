//! From a CSV file to a report and a prediction; and what is said of bad files.

mod reference;

use gradus_fit::laws::loss_surface::Settings;
use gradus_fit::plot;
use gradus_fit::predict::{Query, predict};
use gradus_fit::report::{CurveSettings, Report, Request, TimingKind, TimingSettings, What, report};
use gradus_fit::table::Table;
use gradus_fit::{FitError, Parameter};

/// Runs on exact parabolas: the optimum of C is N* = 0.1·C^0.5, D* = C/(6·N), L* = 30·C^−0.05.
fn synthetic() -> String {
    let mut text = String::from("arch,n_params,n_tokens,flops_train,val_loss,selected\n");
    for budget in [1e18, 1e19, 1e20, 1e21_f64] {
        for step in -3..=3 {
            let n = 0.1 * budget.sqrt() * 10f64.powf(f64::from(step) * 0.15);
            let d = budget / (6.0 * n);
            let loss = 30.0 * budget.powf(-0.05) + 0.5 * (f64::from(step) * 0.15).powi(2);
            text.push_str(&format!("x,{n:.17e},{d:.17e},{budget:e},{loss:.17e},1\n"));
        }
    }
    text
}

fn isoflop(text: &str) -> Result<Report, FitError> {
    let table = Table::parse("runs.csv", text)?;
    let mut request = Request::new(What::Isoflop((0.0, f64::INFINITY)));
    request.group = vec!["arch".into()];
    request.bootstrap = 20;
    report(table, &request)
}

#[test]
fn a_known_law_is_found_reported_and_predicts() {
    let made = isoflop(&synthetic()).expect("a report");
    let json: serde_json::Value = serde_json::from_str(&made.json().to_string()).expect("round trip");
    let law = &json["groups"][0]["fit"]["law"];
    assert!((law["params"]["exponent"].as_f64().expect("a number") - 0.5).abs() < 1e-9);
    assert!((law["loss"]["exponent"].as_f64().expect("a number") + 0.05).abs() < 1e-9);
    assert!(made.text().contains("At 1e21 FLOPs train 3.16 B parameters on 52.7 B tokens"), "{}", made.text());
    for query in [Query::Compute(1e22), Query::Params(1e10), Query::Tokens(1e22 / 6e10)] {
        let found = predict(&json, query, 0.95).expect("a prediction");
        for ((name, estimate), expected) in
            found[0].values.iter().zip([1e22, 1e10, 1e22 / 6e10, 30.0 * 1e22f64.powf(-0.05)])
        {
            assert!((estimate.value / expected - 1.0).abs() < 1e-6, "{query:?} {name}: {}", estimate.value);
            assert!(estimate.low <= estimate.value && estimate.value <= estimate.high, "{name}");
        }
    }
    assert!(predict(&json, Query::Compute(-1.0), 0.95).is_err());
    assert!(predict(&serde_json::json!({}), Query::Compute(1e20), 0.95).is_err());
}

/// Runs about L = (30·C^−0.05 + parabola)·(T/2048)^0.02 with a scatter of 0.2 %, for two architectures, the
/// second 1 % better, and two contexts; the ratio labels which place on the parabola a run has.
fn scattered() -> String {
    let mut text = String::from("arch,ctx,preset_ratio,n_params,n_tokens,flops_train,val_loss\n");
    let mut count = 0.0_f64;
    for (arch, factor) in [("one", 1.0), ("two", 0.99)] {
        for context in [2048.0, 8192.0_f64] {
            for budget in [1e18, 1e19, 1e20, 1e21_f64] {
                for step in -3..=3 {
                    count += 1.0;
                    let place = f64::from(step) * 0.15;
                    let n = 0.1 * budget.sqrt() * 10f64.powf(place);
                    let loss = factor
                        * (30.0 * budget.powf(-0.05) + 0.5 * place * place)
                        * (context / 2048.0).powf(0.02)
                        * (1.0 + 0.002 * (count * 12.9898).sin());
                    let d = budget / (6.0 * n);
                    text.push_str(&format!("{arch},{context},{},{n:e},{d:e},{budget:e},{loss}\n", 10 * (step + 4)));
                }
            }
        }
    }
    text
}

#[test]
fn every_law_gives_intervals_that_hold_its_value() {
    let made = |what: What, group: &str, text: &str| {
        let mut request = Request::new(what);
        request.group = group.split_terminator(',').map(String::from).collect();
        request.bootstrap = 100;
        let made = report(Table::parse("runs.csv", text).expect("a table"), &request).expect("a report");
        assert!(made.text().contains("95 %"), "{}", made.text());
        made.json()["groups"][0]["fit"].clone()
    };
    let holds = |fit: &serde_json::Value, value: &str, interval: &str| {
        let number = |v: &serde_json::Value| v.as_f64().unwrap_or_else(|| panic!("{interval}: {v} in {fit}"));
        let (value, of) = (number(fit.pointer(value).expect(value)), fit.pointer(interval).expect(interval));
        assert!(number(&of["low"]) < value && value < number(&of["high"]), "{interval} = {of} about {value}");
        assert!((number(&of["high"]) / number(&of["low"])).abs() < 1e3, "{interval} = {of}");
        of.clone()
    };
    let runs = scattered();
    let power = What::PowerLaw { x: "flops_train".into(), y: "val_loss".into(), offset: true };
    let fit = made(power, "arch,ctx,preset_ratio", &runs);
    let exponent = holds(&fit, "/law/exponent", "/law/exponent_interval");
    holds(&fit, "/law/coefficient", "/law/coefficient_interval");
    assert!(exponent["low"].as_f64() < Some(-0.04) && exponent["high"].as_f64() > Some(-0.06), "{exponent}");
    let fit = made(What::Context, "arch", &runs);
    holds(&fit, "/law/loss/by_context", "/law/loss/by_context_interval");
    holds(&fit, "/law/params/by_compute", "/law/params/by_compute_interval");
    for name in ["params_ratio", "tokens_ratio", "loss_difference"] {
        holds(&fit, &format!("/law/changes/0/{name}"), &format!("/law/changes/0/{name}_interval"));
    }
    let fit = made(What::Overtraining, "arch", &runs);
    holds(&fit, "/law/0/eta", "/law/0/eta_interval");
    holds(&fit, "/mean/eta", "/mean/eta_interval");
    let fit = made(What::Pareto(Some(2)), "", &runs);
    holds(&fit, "/law/0/envelope/laws/n_params/exponent", "/law/0/envelope/laws/n_params/exponent_interval");
    let of = &fit["ratios"][0]["bootstrap"];
    assert!(of["low"].as_f64() > Some(0.5) && of["high"].as_f64() < Some(3.0), "{}", fit["ratios"]);
    let fit = made(What::Isoflop((0.0, f64::INFINITY)), "arch,ctx", &runs);
    holds(&fit, "/profiles/0/params/optimum", "/profiles/0/params/optimum_interval");
    holds(&fit, "/profiles/0/params/loss", "/profiles/0/params/loss_interval");
    let mut times = String::from("batch,prefill,ttft_ms,flops,bytes\n");
    for k in 0..20_i32 {
        let flops = 1e12 * 1.5f64.powi(k);
        let time = (flops / 2e14 + 2e-3) * (1.0 + 0.01 * (f64::from(k) * 12.9898).sin());
        times.push_str(&format!("1,{},{},{flops:e},1e9\n", k + 1, 1e3 * time));
    }
    let fit = made(What::Timing(TimingSettings::new(TimingKind::FirstToken)), "", &times);
    for k in 0..2 {
        holds(&fit, &format!("/intervals/{k}/value"), &format!("/intervals/{k}/profile"));
        holds(&fit, &format!("/intervals/{k}/value"), &format!("/intervals/{k}/bootstrap"));
    }
}

#[test]
fn plots_are_drawn_three_ways() {
    let plots = isoflop(&synthetic()).expect("a report").plots();
    assert_eq!(plots.len(), 5);
    let svg = plot::svg(&plots);
    assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>") && svg.contains("IsoFLOP profiles"));
    assert_eq!(svg.matches("<circle").count(), svg.matches("/>").count() - svg.matches("<poly").count() - 1);
    let png = plot::png(&plots).expect("a picture");
    assert_eq!(&png[1..4], b"PNG");
    let text = plot::terminal(&plots[0], 60, 16);
    assert!(text.lines().count() == 18 && text.chars().any(|c| c > '\u{2800}'), "{text}");
}

#[test]
fn bad_files_are_named_with_row_and_column() {
    let good = synthetic();
    let says = |text: &str, words: &[&str]| {
        let message = isoflop(text).expect_err(words[0]).to_string();
        for word in words {
            assert!(message.contains(word), "{message:?} lacks {word:?}");
        }
    };
    says(&good.replacen("val_loss", "valloss", 1), &["no column `val_loss`", "did you mean `valloss`"]);
    says(&good.replacen("1e18,", "much,", 1), &["row 2", "`flops_train`", "`much` is not a number"]);
    says(&good.replacen("1e18,", "NaN,", 1), &["row 2", "not a finite number"]);
    says(&good.replacen("1e18,", "-1e18,", 1), &["row 2", "no logarithm"]);
    says(&good.replacen("1e18,", ",", 1), &["row 2", "empty"]);
    let lines: Vec<&str> = good.lines().collect();
    says(&lines[..8].join("\n"), &["2 budgets"]);
    says(&lines[..10].join("\n"), &["needs 3 runs"]);
    says(lines[0], &["no rows"]);
    let constant: String =
        lines.iter().map(|l| format!("{}\n", if l.starts_with('x') { lines[1] } else { l })).collect();
    says(&constant, &["do not differ enough"]);
    let doubled = format!("{good}{}\n", lines[1]);
    let notes = isoflop(&doubled).expect("a report").notes;
    assert!(notes.iter().any(|n| n.contains("1 rows repeat") && n.contains("row 30 is row 2")), "{notes:?}");
}

fn decay(points: usize) -> Table {
    let mut text = String::from("x,y\n");
    for i in 0..points {
        let x = i as f64 * 0.5;
        let scatter = 0.01 * ((i * 7919) % 13) as f64 - 0.06;
        text.push_str(&format!("{x},{}\n", 3.0 * (-0.7 * x).exp() + scatter));
    }
    Table::parse("decay.csv", &text).expect("valid")
}

fn curve(model: &str, names: &[(&str, f64)], table: Table) -> Result<Report, FitError> {
    let parameters = names.iter().map(|(n, s)| Parameter::new(*n, *s)).collect();
    let mut request = Request::new(What::Curve(CurveSettings::new(model, parameters, "y")));
    request.bootstrap = 200;
    report(table, &request)
}

#[test]
fn a_formula_is_fitted_with_intervals_and_names_what_it_cannot_know() {
    let made = curve("a*exp(-b*x)", &[("a", 1.0), ("b", 0.1)], decay(20)).expect("a report");
    let parameters = &made.json()["groups"][0]["fit"]["law"]["parameters"];
    for (j, truth) in [3.0, 0.7].iter().enumerate() {
        let entry = &parameters[j];
        let number = |v: &serde_json::Value| v.as_f64().expect("a number");
        assert!((number(&entry["value"]) / truth - 1.0).abs() < 0.05, "{entry}");
        assert!(number(&entry["profile"]["low"]) < number(&entry["value"]));
        assert!(number(&entry["bootstrap"]["high"]) > number(&entry["value"]));
    }
    let twice = curve("a*c*exp(-b*x)", &[("a", 1.0), ("b", 0.1), ("c", 1.0)], decay(20)).expect("a report");
    assert!(twice.text().contains("NOT DETERMINED"), "{}", twice.text());
    assert!(twice.text().contains("± not determined"));
    let entry = &twice.json()["groups"][0]["fit"]["law"]["parameters"][0];
    assert!(entry["standard_error"].is_null() && entry["profile"]["low"].is_null(), "{entry}");
    let few = curve("a*exp(-b*x)", &[("a", 1.0), ("b", 0.1)], decay(6)).expect("a report");
    assert!(few.text().contains("no bootstrap: 6 points"));
    let fewer = curve("a*exp(-b*x)", &[("a", 1.0), ("b", 0.1)], decay(1)).expect_err("too few");
    assert_eq!(fewer, FitError::TooFewPoints { points: 1, parameters: 2 });
    assert!(curve("a*exp(-b*z)", &[("a", 1.0), ("b", 0.1)], decay(9)).expect_err("no z").to_string().contains("`z`"));
}

#[test]
fn a_row_without_a_logarithm_is_named() {
    let table = Table::parse("points.csv", "x,y\n1,0\n2,0.7\n0,0.1\n4,1.4\n").expect("a table");
    let message = curve("a*ln(x)+b", &[("a", 1.0), ("b", 0.0)], table).expect_err("ln 0").to_string();
    assert!(message.contains("row 4"), "{message}");
}

#[test]
fn the_papers_tables_are_reported_as_they_are() {
    let Some(folder) = reference::folder() else { return };
    let table = |name: &str| Table::read(&folder.join(name)).expect("readable");
    let runs = || table("runs.csv").filter("selected == 1").expect("rows");
    let make = |what, group: &[&str], table| {
        let mut request = Request::new(what);
        request.condition = Some("selected == 1".into());
        request.group = group.iter().map(|g| (*g).to_string()).collect();
        request.weight = (request.what == What::Isoflop((5e18, 2e20))).then(|| "multiplicity".to_string());
        request.bootstrap = 50;
        report(table, &request).expect("a report")
    };
    let isoflop = make(What::Isoflop((5e18, 2e20)), &["arch", "ctx"], runs());
    let text = isoflop.text();
    println!("{text}");
    assert!(text.contains("At 1e20 FLOPs train 718 M parameters on 17.9 B tokens"), "{text}");
    let surface = Settings {
        grid: vec![vec![10.0], vec![10.0], vec![0.0], vec![0.5], vec![0.5], vec![0.5]],
        ..Settings::default()
    };
    let surface = make(What::LossSurface(surface), &["arch"], runs());
    println!("{}", surface.text());
    let json = surface.json();
    let at = predict(&json, Query::Run(1e9, 2e10), 0.95).expect("a loss");
    assert!(at[0].values[3].1.high - at[0].values[3].1.low < 0.1);
    let compute = predict(&json, Query::Compute(1e21), 0.95).expect("an optimum")[0].values.clone();
    let back = predict(&json, Query::Loss(compute[3].1.value), 0.95).expect("the compute");
    assert!((back[0].values[0].1.value / 1e21 - 1.0).abs() < 1e-6);
    assert!(predict(&json, Query::Loss(0.5), 0.95).expect_err("below the floor").to_string().contains("irreducible"));
    for (what, group) in
        [(What::Overtraining, &["arch"][..]), (What::Pareto(Some(15)), &["arch"]), (What::Context, &["arch"])]
    {
        println!("{}", make(what, group, runs()).text());
    }
    let first = make(
        What::Timing(TimingSettings::new(TimingKind::FirstToken)),
        &["arch", "model"],
        table("inference_ttft.csv"),
    );
    let step =
        make(What::Timing(TimingSettings::new(TimingKind::Step)), &["arch", "model"], table("inference_step_time.csv"));
    let alpha = &first.json()["groups"][0]["fit"]["law"]["result"]["parameters"][0];
    assert!((alpha.as_f64().expect("a rate") / 2.0819966e14 - 1.0).abs() < 1e-5, "{alpha}");
    let beta = &step.json()["groups"][0]["fit"]["law"]["result"]["parameters"][1];
    assert!((beta.as_f64().expect("a rate") / 7.684148e11 - 1.0).abs() < 1e-4, "{beta}");
    println!("{}{}", first.text(), step.text());
    if let Some(out) = std::env::var_os("GRADUS_PLOTS") {
        let out = std::path::PathBuf::from(out);
        for (name, made) in [("isoflop", &isoflop), ("surface", &surface), ("step", &step)] {
            let plots: Vec<_> = made.plots().into_iter().take(3).collect();
            std::fs::write(out.join(format!("{name}.svg")), plot::svg(&plots)).expect("written");
            std::fs::write(out.join(format!("{name}.png")), plot::png(&plots).expect("drawn")).expect("written");
            println!("{}", plot::terminal(&plots[0], 70, 18));
        }
    }
}

/// Every key of a document that does not come from the data.
fn keys(value: &serde_json::Value, found: &mut std::collections::BTreeSet<String>) {
    match value {
        serde_json::Value::Object(map) => {
            for (key, inner) in map {
                found.insert(key.clone());
                if key != "group" {
                    keys(inner, found);
                }
            }
        }
        serde_json::Value::Array(list) => list.iter().for_each(|inner| keys(inner, found)),
        _ => {}
    }
}

#[test]
fn every_field_of_the_json_is_documented() {
    let described = include_str!("../../docs/fit/json.md");
    let mut found = std::collections::BTreeSet::new();
    let mut see = |made: Report| keys(&made.json(), &mut found);
    see(isoflop(&synthetic()).expect("a report"));
    see(curve("a*exp(-b*x)", &[("a", 1.0), ("b", 0.1)], decay(20)).expect("a report"));
    let runs = || Table::parse("runs.csv", &synthetic()).expect("valid");
    let power = What::PowerLaw { x: "flops_train".into(), y: "val_loss".into(), offset: true };
    see(report(runs(), &Request::new(power)).expect("a report"));
    see(report(runs(), &Request::new(What::Pareto(Some(2)))).expect("a report"));
    let mut surface = Request::new(What::LossSurface(Settings { spread: Some((10, 0)), ..Settings::default() }));
    surface.bootstrap = 10;
    see(report(runs(), &surface).expect("a report"));
    let labelled = |column: &str, values: [&str; 2]| {
        let text = synthetic();
        let lines = text.lines().enumerate().flat_map(|(i, line)| match i {
            0 => vec![format!("{line},{column}\n")],
            _ => values.iter().map(|v| format!("{line},{v}\n")).collect(),
        });
        Table::parse("runs.csv", &lines.collect::<String>()).expect("valid")
    };
    see(report(labelled("ctx", ["2048", "8192"]), &Request::new(What::Context)).expect("a report"));
    see(report(labelled("preset_ratio", ["22", "44"]), &Request::new(What::Overtraining)).expect("a report"));
    let mut times = String::from("batch,prefill,ttft_ms,flops,bytes\n");
    for i in 1..9 {
        times.push_str(&format!("1,{i},{},{i}e12,1e9\n", f64::from(i) * 2.5 + 3.0 + 0.1 * f64::from(i * i % 5)));
    }
    let times = Table::parse("times.csv", &times).expect("valid");
    let first = TimingSettings::new(TimingKind::FirstToken);
    see(report(times, &Request::new(What::Timing(first))).expect("a report"));
    let missing: Vec<&String> = found.iter().filter(|key| !described.contains(&format!("`{key}`"))).collect();
    // Columns of a user's table, which `group` and an envelope's laws are named by, are no fields.
    assert!(missing.iter().all(|key| *key == "arch"), "not in docs/fit/json.md: {missing:?}");
    assert!(found.len() > 60, "{}", found.len());
}
