//! `gradus report` as a person calls it: the page has the fitter's own documents, each made again by the command beside it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use gradus_fit::table::Table;
use gradus_trainer::report::published;
use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_gradus");

fn gradus(folder: &Path, words: &[&str]) -> Output {
    Command::new(PROGRAM).current_dir(folder).args(words).output().expect("the program starts")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Optimal parameters of the synthetic study at a budget.
fn optimum(arch: &str, budget: f64) -> f64 {
    let factor = if arch == "xlstm" { 0.15 } else { 0.1 };
    factor * budget.sqrt()
}

fn runs() -> String {
    runs_from(-2)
}

/// Runs on parabolas about N* = factor·C^0.5 with a scatter of 0.1 %, in two architectures and two contexts: five sizes from
/// so many steps of 10^0.2 above the optimum.
fn runs_from(least: i32) -> String {
    let mut text = String::from("arch,experiment_set,ctx,isoflop,n_params,n_tokens,flops_train,val_loss,run_id\n");
    let mut count = 0.0_f64;
    for (arch, better) in [("xlstm", 0.98), ("transformer", 1.0)] {
        for context in [128.0, 512.0_f64] {
            for budget in [1e12, 1e13, 1e14_f64] {
                for step in least..least + 5 {
                    count += 1.0;
                    let place = f64::from(step) * 0.2;
                    let params = optimum(arch, budget) * 10f64.powf(place);
                    let law = 10.0 * budget.powf(-0.05) + 0.5 * place * place;
                    let loss = better * law * (context / 128.0).powf(0.02) * (1.0 + 0.001 * (count * 12.9898).sin());
                    let tokens = budget / (6.0 * params);
                    text += &format!(
                        "{arch},isoflop,{context},{budget:e},{params:.0},{tokens:.0},{budget:e},{loss:.6},run{count}\n"
                    );
                }
            }
        }
    }
    text
}

/// Steps of a run, with half a line at the end as a kill leaves it.
fn metrics() -> String {
    let step = |step: u32| {
        let loss = 2.0 + 3.0 / f64::from(step);
        format!(
            "{{\"step\":{step},\"tokens\":{},\"loss\":{loss},\"bits_per_byte\":{loss},\"learning_rate\":1e-3,\
             \"gradient_norm\":1,\"loss_scale\":1,\"skipped\":false,\"seconds\":{step},\"tokens_per_second\":64}}\n",
            64 * step
        )
    };
    let evaluation = "{\"step\":30,\"validation_loss\":2.1875,\"validation_bits_per_byte\":2.25}\n";
    (1..=30).map(step).collect::<String>() + evaluation + "{\"step\":31,"
}

fn times() -> String {
    let mut text =
        String::from("arch,model,batch,prefill,ttft_ms,step_ms,prefill_flops,prefill_bytes,step_flops,step_bytes\n");
    for (arch, growth) in [("xlstm", 0.0), ("transformer", 1.0)] {
        for batch in [8.0, 32.0, 64.0_f64] {
            for (place, prefill) in [256.0, 1024.0, 4096.0, 16384.0_f64].into_iter().enumerate() {
                let (flops, bytes) = (2e7 * prefill * batch, 2e7 + batch * (1e5 + growth * 2e4 * prefill));
                let jitter = 1.0 + 0.002 * (place as f64 * 3.0 + batch).sin();
                let first = (flops / 1e13 + 1e-3) * 1e3 * jitter;
                let step = (bytes / 1e12 + 1e-3 + 1e-5 * batch) * 1e3 * jitter;
                text += &format!(
                    "{arch},tiny,{batch},{prefill},{first},{step},{flops},{},{},{bytes}\n",
                    2e7 + 1e3 * prefill * batch,
                    2e7 * batch
                );
            }
        }
    }
    text
}

/// A folder as a sweep leaves it.
fn study(parent: &Path) -> PathBuf {
    let folder = parent.join("my study");
    fs::create_dir_all(folder.join("runs/run1")).unwrap();
    fs::create_dir_all(folder.join("failures")).unwrap();
    fs::write(folder.join("runs.csv"), runs()).unwrap();
    fs::write(folder.join("inference.csv"), times()).unwrap();
    fs::write(folder.join("sweep.toml"), "study = \"isoflop\" # <b>\n").unwrap();
    fs::write(folder.join("runs/run1/metrics.jsonl"), metrics()).unwrap();
    fs::write(folder.join("failures/run99.txt"), "diverged: step 3 <script>\n").unwrap();
    folder
}

/// What the page's script reads.
fn data(page: &str) -> Value {
    let start = "<script type=\"application/json\" id=\"data\">";
    let from = page.find(start).expect("the page has its data") + start.len();
    let text = &page[from..from + page[from..].find("</script>").expect("an end")];
    serde_json::from_str(text).expect("JSON")
}

fn report(folder: &Path, study: &str) -> (String, String) {
    let output = gradus(folder, &["report", study, "--out", "report.html"]);
    assert!(output.status.success(), "{}", said(&output));
    (fs::read_to_string(folder.join("report.html")).unwrap(), String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Every document of the page, made again by its command.
fn commands_make_the_same(folder: &Path, data: &Value) {
    let fits = data["fits"].as_array().unwrap();
    for fit in fits {
        let command = fit["command"].as_str().unwrap();
        let line = format!("{PROGRAM} {} --json", command.strip_prefix("gradus ").expect("our program"));
        let output = Command::new("sh").current_dir(folder).args(["-c", &line]).output().expect("a shell");
        assert!(output.status.success(), "{command}: {}", said(&output));
        let again: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert!(again == fit["document"], "{command} gives another fit than the page has");
    }
}

fn fits<'a>(data: &'a Value, section: &str, of: &str) -> &'a Value {
    let all = data["fits"].as_array().unwrap();
    let found = all.iter().find(|fit| fit["section"] == section && fit["of"] == of);
    &found.unwrap_or_else(|| panic!("no fit of {section}, {of}"))["document"]["groups"][0]["fit"]
}

fn number(value: &Value, pointer: &str) -> f64 {
    value.pointer(pointer).and_then(Value::as_f64).unwrap_or_else(|| panic!("no number at {pointer}"))
}

#[test]
fn the_page_has_the_fitters_optima_and_the_commands_that_make_them() {
    let parent = tempfile::tempdir().unwrap();
    study(parent.path());
    let (page, printed) = report(parent.path(), "my study");
    let data = data(&page);
    for (arch, name) in [("xlstm", "xLSTM"), ("transformer", "Transformer")] {
        for context in [128, 512] {
            let fit = fits(&data, "profiles", &format!("{name}, context {context}"));
            for (place, budget) in [1e12, 1e13, 1e14].into_iter().enumerate() {
                let found = number(fit, &format!("/profiles/{place}/params/optimum"));
                assert!((found / optimum(arch, budget) - 1.0).abs() < 0.03, "{name} {budget:e}: {found}");
            }
            assert!((number(fit, "/law/params/exponent") - 0.5).abs() < 0.01);
        }
        assert_eq!(
            fits(&data, "surface", &format!("{name}, context 128"))["law"]["names"].as_array().unwrap().len(),
            6
        );
        assert!(number(fits(&data, "context", name), "/law/changes/0/params_ratio") > 0.9);
        let rate = number(fits(&data, "first-token", &format!("{name}, tiny")), "/intervals/0/value");
        assert!((rate / 1e13 - 1.0).abs() < 0.02, "{rate}");
    }
    let growth = fits(&data, "step", "Growth with the prefill, batch 8");
    assert!(number(growth, "/law/exponent").abs() < 0.01, "the first group, the xLSTM's, is flat");
    // A step of the xLSTM reads less at every prefill; first tokens have the same times by construction.
    let crossing = fits(&data, "step", "Which is faster");
    assert_eq!((&crossing["law"][0]["of"], crossing["law"][0]["at"].as_array().unwrap().len()), (&"xlstm".into(), 0));
    assert!(number(crossing, "/law/0/ratios/3/1") < 0.8);
    assert!(printed.contains("xLSTM is faster at every prefill timed (tiny, batch 8)"), "{printed}");
    assert!(printed.contains("neither is faster at every prefill timed (tiny, batch 8)"), "{printed}");
    let roof = fits(&data, "roofline", "");
    let best = number(roof, "/flop_rate");
    assert!((best / 1e13 - 1.0).abs() < 0.01, "the largest prefill hides what a call costs: {best:e}");
    assert_eq!(roof["law"].as_array().unwrap().len(), 4, "prefills and steps of both");
    assert!(number(roof, "/law/0/share/high") <= 1.0 + 1e-12 && number(roof, "/law/1/share/low") > 0.0);
    assert!(number(fits(&data, "pareto", "Context 128"), "/ratios/0/ratio") < 1.0, "the xLSTM needs less");
    commands_make_the_same(parent.path(), &data);
    // In words, with what there is not.
    assert!(printed.contains("xLSTM, context 128: N* grows as C to the power 0.4"), "{printed}");
    for words in
        ["needs 0.", "1 of the runs failed", "There are no runs at fixed ratios", "0.5749", "do not tell the rate"]
    {
        assert!(page.contains(words), "{words}");
    }
    // The run's curve: 30 points of training and the last loss on held-out text.
    let curve = data["plots"].as_array().unwrap().iter().find(|plot| plot["y_label"] == "loss (nats/token)").unwrap();
    assert_eq!(curve["series"][0]["points"].as_array().unwrap().len(), 30);
    assert_eq!(curve["series"][1]["points"][0][1], 2.1875);
}

/// Times of two calls, kept in one table, are fitted for each architecture over its own work.
#[test]
fn times_that_were_kept_are_reported() {
    let parent = tempfile::tempdir().unwrap();
    fs::create_dir(parent.path().join("lab")).unwrap();
    for model in ["xlstm-tiny", "llama-tiny"] {
        let line = format!(
            "time --model {model} --device cpu --batch 8,12 --prefill 4,16 --generate 1 --csv lab/inference.csv"
        );
        let output = gradus(parent.path(), &line.split(' ').collect::<Vec<_>>());
        assert!(output.status.success(), "{}", said(&output));
    }
    let table = Table::read(&parent.path().join("lab/inference.csv")).unwrap();
    assert_eq!(table.len(), 8);
    let (page, _) = report(parent.path(), "lab");
    let data = data(&page);
    for (arch, name) in [("xlstm", "xLSTM"), ("transformer", "Transformer")] {
        let of = table.filter(&format!("arch == {arch}")).unwrap();
        for (section, time, work) in [("first-token", "ttft_ms", "prefill_flops"), ("step", "step_ms", "step_bytes")] {
            let fit = fits(&data, section, &format!("{name}, tiny"));
            let (work, times) = (of.numbers(work).unwrap(), of.numbers(time).unwrap());
            assert!(work.windows(2).any(|pair| pair[0] != pair[1]), "{section}, {name}");
            assert!(number(fit, "/law/median_relative_error") < 1.0, "{section}, {name}: {times:?} {fit}");
        }
    }
    commands_make_the_same(parent.path(), &data);
}

#[test]
fn an_optimum_beyond_the_sizes_is_no_finding() {
    let parent = tempfile::tempdir().unwrap();
    fs::create_dir(parent.path().join("edge")).unwrap();
    fs::write(parent.path().join("edge/runs.csv"), runs_from(1)).unwrap();
    let (page, printed) = report(parent.path(), "edge");
    assert!(
        page.contains(
            "xLSTM, context 128: the optimum lies outside the sizes tried at 1.00e12, 1.00e13, 1.00e14 FLOPs"
        )
    );
    assert!(page.contains("not both optima are among the sizes tried"));
    assert!(!printed.contains("the intervals are apart"), "{printed}");
}

#[test]
fn the_page_needs_nothing_else_and_takes_no_text_for_code() {
    let parent = tempfile::tempdir().unwrap();
    study(parent.path());
    let (page, _) = report(parent.path(), "my study");
    for outside in ["<link", " src=", "@import", "url(", "fetch("] {
        assert!(!page.contains(outside), "{outside}");
    }
    assert!(page.contains("Copyright (c) 2022 Leon Sorokin"), "the plotting library's licence goes with it");
    assert!(page.contains("step 3 &lt;script&gt;") && page.contains("# &lt;b&gt;"));
    assert_eq!(page.matches("<script").count(), 3);
}

#[test]
fn what_cannot_be_reported_on_is_said() {
    let parent = tempfile::tempdir().unwrap();
    let refused = |words: &[&str], parts: &[&str]| {
        let output = gradus(parent.path(), words);
        let text = said(&output);
        assert!(!output.status.success(), "{words:?}");
        parts.iter().for_each(|part| assert!(text.contains(part), "{words:?}: no `{part}` in {text}"));
        assert!(!parent.path().join("report.html").exists());
    };
    let write = |name: &str, text: &str| {
        let folder = parent.path().join(name);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("runs.csv"), text).unwrap();
    };
    refused(&["report", "absent"], &["absent", "no such folder", "help:"]);
    refused(&["report", "."], &["neither a runs.csv nor an inference.csv"]);
    write("begun", runs().lines().next().unwrap());
    refused(&["report", "begun"], &["no finished run yet"]);
    write("damaged", &runs().replacen("1e12", "1e12x", 1));
    refused(&["report", "damaged"], &["runs.csv", "row 2", "`isoflop`", "1e12x"]);
    write("foreign", "a,b\n1,2\n");
    refused(&["report", "foreign"], &["runs.csv", "column"]);
    write("good", &runs());
    refused(&["report", "good", "--out", "report.pdf"], &["report.pdf", ".html"]);
    fs::create_dir_all(parent.path().join("good/runs/run1")).unwrap();
    fs::write(parent.path().join("good/runs/run1/metrics.jsonl"), "{\"epoch\":1}\n").unwrap();
    refused(&["report", "good"], &["run1", "metrics.jsonl line 1"]);
}

/// The paper's runs give the paper's figures.
#[test]
fn published_runs_give_the_published_figures() {
    let base = std::env::var_os("GRADUS_REFERENCE")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/reference"), PathBuf::from);
    let folder = base.join("paper-runs");
    if !folder.is_dir() {
        println!("skipped: no paper-runs in {} (set GRADUS_REFERENCE)", base.display());
        return;
    }
    let folder = folder.canonicalize().unwrap();
    let parent = tempfile::tempdir().unwrap();
    let (page, _) = report(parent.path(), &folder.display().to_string());
    let data = data(&page);
    let name = |arch: &str| if arch == "xlstm" { "xLSTM" } else { "Transformer" };
    let close = |found: f64, published: f64, bound: f64, what: &str| {
        assert!((found / published - 1.0).abs() < bound, "{what}: {found} is not {published}");
    };
    for (arch, context, _, size, tokens) in published::OPTIMA {
        let of = format!("{}, context {context}", name(arch));
        let fit = fits(&data, "profiles", &of);
        close(number(fit, "/law/params/exponent"), size, 2e-4, &of);
        close(number(fit, "/law/tokens/exponent"), tokens, 2e-4, &of);
    }
    for (arch, _, objective) in published::SURFACES {
        let of = format!("{}, context 8192", name(arch));
        close(number(fits(&data, "surface", &of), "/objective"), objective, 1e-4, &of);
    }
    for (arch, slopes) in published::SLOPES {
        let fit = fits(&data, "overtraining", name(arch));
        for (ratio, slope) in slopes {
            let found = fit["law"].as_array().unwrap().iter().find(|one| one["ratio"] == ratio).unwrap();
            close(number(found, "/eta"), slope, 2e-4, name(arch));
        }
    }
    for (arch, size, loss) in published::CONTEXT {
        let fit = fits(&data, "context", name(arch));
        let change = fit["law"]["changes"].as_array().unwrap().iter().find(|one| one["budget"] == 3e19).unwrap();
        close(number(change, "/params_ratio"), size, 1e-3, name(arch));
        close(number(change, "/loss_difference"), loss, 5e-3, name(arch));
    }
    let fit = fits(&data, "pareto", "Context 8192");
    for (loss, ratio) in published::COMPUTE_RATIOS {
        let found = fit["ratios"].as_array().unwrap().iter().find(|one| one["loss"] == loss).unwrap();
        close(number(found, "/ratio"), ratio, 5e-3, &format!("loss {loss}"));
    }
    for (model, rate) in published::STEP {
        let fit = fits(&data, "step", &format!("Transformer, {model}"));
        let found = fit["intervals"].as_array().unwrap().iter().find(|one| one["name"] == "beta_eff").unwrap();
        // Published fits differ in what they minimise, by a tenth at most.
        close(number(found, "/value"), rate, 0.1, model);
    }
}
