//! Gradient checkpointing changes no bit: not of a loss, not of a gradient's norm, not of the weights and moments after some
//! steps, on any device, in f32 and in mixed precision, nor when a run is taken up again.

mod program;

use std::path::Path;

use program::{folder_with_text, metrics, saved, succeed, ways_to_train};

const STEPS: u64 = 4;

/// Trains on batches of `batch` and `context`; of large ones the memory is measured too.
fn without_and_with(folder: &Path, model: &str, flags: &str, [batch, context]: [usize; 2]) {
    let train = |out: &str, more: &str| {
        let sizes = format!("--steps {STEPS} --batch {batch} --context {context} --eval-every 2");
        let told = succeed(
            folder,
            &format!("train --data text.txt {sizes} --model {model} --out {out} --config slow.toml {flags} {more}"),
        );
        String::from_utf8_lossy(&told.stdout).into_owned() + &String::from_utf8_lossy(&told.stderr)
    };
    let tag: String = format!("{model}{flags}").chars().filter(|sign| sign.is_alphanumeric()).collect();
    let (plain, again) = (format!("{tag}-plain"), format!("{tag}-again"));
    let (told_plain, told_again) = (train(&plain, ""), train(&again, "--gradient-checkpointing"));
    let (at_plain, at_again) = (folder.join(&plain), folder.join(&again));
    let rows = metrics(&at_plain);
    assert_eq!(rows.iter().filter(|row| row["loss"].is_number()).count() as u64, STEPS);
    assert_eq!(rows, metrics(&at_again), "{model} {flags}");
    for step in [2, STEPS] {
        assert!(saved(&at_plain, step) == saved(&at_again, step), "{model} {flags}: other weights or moments");
    }
    // It was on, and the plan that the run began with knows it.
    let configuration = std::fs::read_to_string(at_again.join("config.toml")).unwrap();
    assert!(configuration.contains("\ngradient_checkpointing = true"), "{configuration}");
    let memory = |told: &str| told.lines().find(|line| line.contains("memory: ")).unwrap().to_owned();
    if batch * context > 300 {
        assert_ne!(memory(&told_plain), memory(&told_again));
    }
    // Taken up from the middle, it goes on with checkpointing.
    succeed(folder, &format!("train --resume {again}/checkpoint/step-00000002"));
    assert_eq!(rows, metrics(&at_again), "{model} {flags}, resumed");
    assert!(saved(&at_plain, STEPS) == saved(&at_again, STEPS), "{model} {flags}, resumed");
}

#[test]
fn checkpointing_changes_no_bit() {
    let folder = folder_with_text();
    std::fs::write(
        folder.path().join("slow.toml"),
        "[evaluation]\ntokens = 40\nsample_tokens = 1\n[checkpoint]\nevery = 2\n",
    )
    .unwrap();
    for model in ["xlstm-tiny", "llama-tiny"] {
        for way in ways_to_train(folder.path()) {
            let sizes = if way == "--device cpu" { [4, 96] } else { [2, 20] };
            without_and_with(folder.path(), model, way, sizes);
        }
    }
}
