//! `gradus bench` on the first adapter, whatever it is, and on the CPU: every row is there, with figures that can be.

mod program;

use std::path::Path;

use program::{errors, gradus, run, succeed};
use serde_json::Value;

fn json(folder: &Path, line: &str) -> Value {
    serde_json::from_slice(&succeed(folder, line).stdout).unwrap()
}

fn text(folder: &Path, line: &str) -> String {
    String::from_utf8(succeed(folder, line).stdout).unwrap()
}

/// Whether there is an adapter.
///
/// # Panics
/// Where there is none and `GRADUS_REQUIRE_GPU=1`.
fn has_gpu(folder: &Path) -> bool {
    let found = json(folder, "devices --json")["adapters"].as_array().is_some_and(|adapters| !adapters.is_empty());
    assert!(found || std::env::var("GRADUS_REQUIRE_GPU").as_deref() != Ok("1"), "GRADUS_REQUIRE_GPU=1, but no adapter");
    if !found {
        println!("skipped: there is no adapter");
    }
    found
}

fn expect_figures(row: &Value) {
    let times = ["lowest", "median", "highest"].map(|which| row["microseconds"][which].as_f64().unwrap());
    assert!(times[0] > 0.0 && times.is_sorted(), "{row}");
}

#[test]
fn training_is_timed() {
    let folder = tempfile::tempdir().unwrap();
    let flags = "--batch 2 --context 16 --vocabulary 50 --steps 8";
    let found = json(folder.path(), &format!("bench train --device cpu --model llama-tiny {flags} --json"));
    assert_eq!((found["bench"].as_str(), found["driver"].is_null()), (Some("train"), true));
    assert_eq!(found["date"].as_str().map(str::len), Some(10));
    let row = &found["rows"][0];
    assert_eq!(
        (row["batch"].as_u64(), row["context"].as_u64(), row["vocabulary"].as_u64()),
        (Some(2), Some(16), Some(50))
    );
    let rates = ["lowest", "median", "highest"].map(|which| row["tokens_per_second"][which].as_f64().unwrap());
    assert!(rates[0] > 0.0 && rates.is_sorted(), "{row}");
    assert!(row["first_step_seconds"].as_f64().unwrap() > 0.0 && row["peak_bytes"].as_u64().unwrap() > 0, "{row}");
    assert!(row["recording_share"].is_null(), "a CPU computes while it records: {row}");

    let table = text(folder.path(), &format!("bench train --device cpu --model xlstm-tiny {flags}"));
    assert!(
        table.contains("tokens/s") && table.contains("8 steps after") && table.contains("say nothing of a GPU"),
        "{table}"
    );
    assert_eq!(table.lines().last().unwrap().split_whitespace().count(), 9, "{table}");
}

#[test]
fn a_step_is_split_into_its_kernels() {
    let folder = tempfile::tempdir().unwrap();
    if !has_gpu(folder.path()) {
        return;
    }
    let line =
        "profile --device gpu --model llama-tiny --batch 1 --context 16 --vocabulary 20 --steps 1 --trace trace.json";
    let found = json(folder.path(), &format!("{line} --json"));
    let rows = found["rows"].as_array().unwrap();
    let share: f64 = rows.iter().map(|row| row["share"].as_f64().unwrap()).sum();
    assert!((share - 1.0).abs() < 1e-6, "{share}");
    let operations: Vec<&str> = rows.iter().map(|row| row["operation"].as_str().unwrap()).collect();
    for operation in ["matmul", "attention", "rotary", "swiglu", "linear_cross_entropy", "optimizer"] {
        assert!(operations.contains(&operation), "no {operation} in {operations:?}");
    }
    // Four blocks with two norms, and the last one: each dispatched once in the forward.
    let norms = rows.iter().filter(|row| row["kernel"] == "norm/forward_4");
    assert_eq!(norms.map(|row| row["dispatches_per_step"].as_f64().unwrap()).sum::<f64>(), 9.0);
    // Gradients of one value are added up by the kernels that make them: of a norm's output by its products, of the residual
    // stream by the norm.
    assert!(!operations.contains(&"add"), "{operations:?}");
    // The trace has every dispatch, each after the one before began.
    let trace: serde_json::Value =
        serde_json::from_slice(&std::fs::read(folder.path().join("trace.json")).unwrap()).unwrap();
    let events = trace["traceEvents"].as_array().unwrap();
    let begun: Vec<f64> = events
        .iter()
        .filter(|event| event["tid"] == 1 && event["ph"] == "X")
        .map(|event| event["ts"].as_f64().unwrap())
        .collect();
    let dispatches: f64 = rows.iter().map(|row| row["dispatches_per_step"].as_f64().unwrap()).sum();
    assert!(begun.len() as f64 >= dispatches && begun[0] == 0.0 && begun.is_sorted(), "{dispatches}, {begun:?}");
}

#[test]
fn kernels_are_timed() {
    let folder = tempfile::tempdir().unwrap();
    let found = json(folder.path(), "bench kernels --device cpu --json");
    let rows = found["rows"].as_array().unwrap();
    assert!(rows.len() > 20);
    for row in rows {
        expect_figures(row);
        assert!(row["gigabytes_per_second"].as_f64().unwrap() > 0.0, "{row}");
    }
    let of = |name: &str| rows.iter().find(|row| row["name"] == name).unwrap();
    for copy in ["copy", "copy_rows"] {
        assert_eq!(of(copy)["share_of_ceiling"].as_f64(), Some(1.0));
    }
    let products = ["matmul_1024", "matmul_2048", "matmul_4096", "linear", "linear_weight_gradient"];
    let best = products.map(|name| of(name)["share_of_ceiling"].as_f64().unwrap()).into_iter().fold(0.0, f64::max);
    assert_eq!(best, 1.0);
    if !has_gpu(folder.path()) {
        return;
    }
    let table = text(folder.path(), "bench kernels --device gpu --only softmax");
    let rows: Vec<&str> = table.lines().skip_while(|line| !line.starts_with("---")).skip(1).collect();
    assert_eq!(rows.len(), 2, "{table}");
    assert!(rows[1].starts_with("softmax_backward") && table.contains("GB/s"), "{table}");
}

#[test]
fn the_ladder_is_climbed() {
    let folder = tempfile::tempdir().unwrap();
    if !has_gpu(folder.path()) {
        return;
    }
    let found = json(folder.path(), "bench ladder --device gpu --json");
    let rows = found["rows"].as_array().unwrap();
    // Matrix units are not everywhere: those rungs say why they were not climbed.
    let is_of_units = |row: &&Value| row["rung"].as_str().unwrap().starts_with("units ");
    let (units, plain): (Vec<&Value>, Vec<&Value>) = rows.iter().partition(is_of_units);
    plain.into_iter().for_each(expect_figures);
    for row in units {
        match row["refused"].as_str() {
            Some(reason) => assert!(reason.contains("matrix units"), "{row}"),
            None => expect_figures(row),
        }
    }
    for (subject, rung) in [
        ("matmul", "naive"),
        ("matmul", "panels 16x16"),
        ("attention", "plain"),
        ("attention", "flash"),
        ("mlstm", "step by step"),
        ("mlstm", "chunkwise"),
    ] {
        assert!(rows.iter().any(|row| row["subject"] == subject && row["rung"] == rung), "{subject} {rung}: {rows:?}");
    }
}

#[test]
fn what_cannot_be_timed_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |line: &str, code: i32, parts: &[&str]| {
        let output = run(folder.path(), line);
        let said = errors(&output);
        assert_eq!(output.status.code(), Some(code), "gradus {line}: {said}");
        assert!(parts.iter().all(|part| said.contains(part)), "gradus {line}: {said}");
        assert!(!said.contains("panicked") && output.stdout.is_empty(), "gradus {line}: {said}");
    };
    refused("bench train --model xlstm-tny", 2, &["did you mean `xlstm-tiny`?"]);
    refused("bench train --batch 0", 2, &["--batch"]);
    refused("bench train --device cpu --model .", 2, &["is a folder", "help:"]);
    refused("profile --device cpu", 2, &["profile", "clock", "--device gpu"]);
    refused("bench kernels --only atention_1024", 2, &["no row", "did you mean `attention_1024`?"]);
    refused("bench kernels --device gpu:77", 1, &["adapter", "gradus devices"]);
    refused("bench ladder --device cpu", 2, &["kernels of a GPU", "help:"]);
    if has_gpu(folder.path()) {
        let line = "bench kernels --device gpu --only add";
        let output = gradus(folder.path(), line).env("GRADUS_DEFAULT_LIMITS", "1").output().unwrap();
        let said = errors(&output);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("no timestamps") && said.contains("help:"), "{said}");
    }
}
