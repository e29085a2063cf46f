//! Starting the program as a user does, and reading what it leaves behind.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use serde_json::Value;

/// The program's file. Cargo builds no binary of another package for these tests, so it is built here, once, in the same
/// profile and target folder; for the whole workspace, whose features the dependencies were built with.
pub fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let built = Command::new(env!("CARGO"))
            .args(["build", "--release", "--quiet", "--workspace", "--bin", "gradus"])
            .current_dir(root)
            .status()
            .unwrap();
        assert!(built.success(), "the program could not be built");
        // This test's own file is target/<profile>/deps/<name>.
        let own = std::env::current_exe().unwrap();
        let target = own.ancestors().nth(3).unwrap();
        target.join("release").join(format!("gradus{}", std::env::consts::EXE_SUFFIX))
    })
}

/// A command of the program in a folder.
pub fn gradus(folder: &Path, line: &str) -> Command {
    let mut command = Command::new(program());
    // Without a session's folder some drivers complain on standard error.
    command.current_dir(folder).env("XDG_RUNTIME_DIR", folder).args(line.split_whitespace());
    command
}

/// Runs to the end.
#[allow(dead_code, reason = "each test binary uses its own part of this module")]
pub fn run(folder: &Path, line: &str) -> Output {
    gradus(folder, line).output().unwrap()
}

/// Runs to the end, which must be a good one.
#[allow(dead_code, reason = "each test binary uses its own part of this module")]
pub fn succeed(folder: &Path, line: &str) -> Output {
    let output = run(folder, line);
    assert!(output.status.success(), "gradus {line}: {}", errors(&output));
    output
}

/// What it said.
pub fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A folder with a text to train on, `text.txt`: sentences that a model can learn something of.
#[allow(dead_code, reason = "each test binary uses its own part of this module")]
pub fn folder_with_text() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut text = String::new();
    for number in 0u64..4000 {
        let words = ["gradient", "tensor", "kernel", "sequence", "state"];
        let word = words[(number.wrapping_mul(2_654_435_761) >> 7) as usize % words.len()];
        text += &format!("line {number}: the {word} of step {} is {}.\n", number % 17, number * number % 1009);
    }
    fs::write(folder.path().join("text.txt"), text).unwrap();
    folder
}

/// The rows of a run's metrics without the fields that depend on time.
#[allow(dead_code, reason = "each test binary uses its own part of this module")]
pub fn metrics(run: &Path) -> Vec<Value> {
    let text = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let row = |line: &str| {
        let mut row: Value = serde_json::from_str(line).unwrap();
        let fields = row.as_object_mut().unwrap();
        fields.remove("seconds");
        fields.remove("tokens_per_second");
        row
    };
    text.lines().map(row).collect()
}

/// The losses of the training steps.
#[allow(dead_code, reason = "each test binary uses its own part of this module")]
pub fn losses(run: &Path) -> Vec<f64> {
    metrics(run).iter().filter_map(|row| row["loss"].as_f64()).collect()
}

/// The bytes of weights and moments at a step.
#[allow(dead_code, reason = "each test binary uses its own part of this module")]
pub fn saved(run: &Path, step: u64) -> [Vec<u8>; 2] {
    let folder = run.join(format!("checkpoint/step-{step:08}"));
    ["model.safetensors", "training.safetensors"].map(|name| fs::read(folder.join(name)).unwrap())
}

/// The flags of every way to train here: on the CPU, on a GPU if there is one, and there in mixed precision if it has f16.
#[allow(dead_code, reason = "each test binary uses its own part of this module")]
pub fn ways_to_train(folder: &Path) -> Vec<&'static str> {
    let mut ways = vec!["--device cpu"];
    if has_gpu(folder) {
        ways.push("--device gpu:0");
        let listed: Value = serde_json::from_slice(&succeed(folder, "devices --json").stdout).unwrap();
        if listed["adapters"][0]["features"]["f16"] == true {
            ways.push("--device gpu:0 --precision mixed");
        } else {
            println!("not in mixed precision: the adapter does not compute in f16");
        }
    }
    ways
}

/// Whether there is a GPU, or a software one; where one is required, there must be.
#[allow(dead_code, reason = "each test binary uses its own part of this module")]
pub fn has_gpu(folder: &Path) -> bool {
    let listed = String::from_utf8_lossy(&succeed(folder, "devices --json").stdout).into_owned();
    let there = serde_json::from_str::<Value>(&listed).unwrap()["adapters"].as_array().is_some_and(|a| !a.is_empty());
    assert!(
        there || std::env::var("GRADUS_REQUIRE_GPU").as_deref() != Ok("1"),
        "GRADUS_REQUIRE_GPU=1, but there is none"
    );
    if !there {
        println!("skipped on the GPU: there is none");
    }
    there
}

/// A sweep's table without the columns that depend on time and machine.
#[allow(dead_code, reason = "each test binary uses its own part of this module")]
pub fn results(sweep: &Path) -> Vec<Vec<String>> {
    let text = fs::read_to_string(sweep.join("runs.csv")).unwrap();
    let head: Vec<&str> = text.lines().next().unwrap().split(',').collect();
    let kept = |place: &usize| !["step_time_s", "device"].contains(&head[*place]);
    let cells = |line: &str| {
        // Between quotes, a comma is part of the device's name.
        let plain: String = line
            .split('"')
            .enumerate()
            .map(|(part, text)| if part % 2 == 1 { text.replace(',', ";") } else { text.into() })
            .collect();
        let cells: Vec<String> = plain.split(',').map(String::from).collect();
        assert_eq!(cells.len(), head.len(), "{line}");
        cells.into_iter().enumerate().filter(|(place, _)| kept(place)).map(|(_, cell)| cell).collect()
    };
    text.lines().map(cells).collect()
}
