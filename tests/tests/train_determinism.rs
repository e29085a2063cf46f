//! The same device, seed and build give the same bits, whatever the number of threads; devices agree closely, and so does mixed
//! precision with f32.

mod program;

use std::path::Path;

use program::{errors, folder_with_text, gradus, losses, metrics, saved, succeed};

const STEPS: u64 = 50;
/// A GPU that the processor plays takes a second for each.
const GPU_STEPS: u64 = 20;

fn train(folder: &Path, out: &str, threads: &str, (steps, flags): (u64, &str)) {
    let line = format!("train --data text.txt --steps {steps} --batch 4 --context 64 --out {out} {flags}");
    let output = gradus(folder, &line).env("RAYON_NUM_THREADS", threads).output().unwrap();
    assert!(output.status.success(), "{line}: {}", errors(&output));
}

#[test]
fn two_processes_and_any_number_of_threads_give_the_same_bits() {
    for model in ["xlstm-tiny", "llama-tiny"] {
        let folder = folder_with_text();
        let runs = [("a", "2"), ("b", "2"), ("c", "1"), ("d", "5")];
        for (out, threads) in runs {
            train(folder.path(), out, threads, (STEPS, &format!("--device cpu --model {model} --seed 3")));
        }
        let at = |out: &str| folder.path().join(out);
        let (rows, bytes) = (metrics(&at("a")), saved(&at("a"), STEPS));
        assert_eq!(rows.iter().filter(|row| row["loss"].is_number()).count() as u64, STEPS);
        for (out, threads) in &runs[1..] {
            assert_eq!(metrics(&at(out)), rows, "{model} with {threads} threads");
            assert!(saved(&at(out), STEPS) == bytes, "{model} with {threads} threads: other weights or moments");
        }
        // Another seed is another run: the comparison above can fail.
        train(folder.path(), "e", "2", (STEPS, &format!("--device cpu --model {model} --seed 4")));
        assert_ne!(metrics(&at("e")), rows);
        assert!(losses(&at("a"))[49] < 0.7 * losses(&at("a"))[0], "it learns");
    }
}

#[test]
fn the_cpu_and_the_gpu_agree() {
    let folder = folder_with_text();
    let devices = succeed(folder.path(), "devices --json");
    let devices: serde_json::Value = serde_json::from_slice(&devices.stdout).unwrap();
    if devices["adapters"].as_array().unwrap().is_empty() {
        assert!(std::env::var("GRADUS_REQUIRE_GPU").as_deref() != Ok("1"), "GRADUS_REQUIRE_GPU=1, but no adapter");
        println!("skipped: no GPU adapter, software or not");
        return;
    }
    for model in ["xlstm-tiny", "llama-tiny"] {
        for device in ["cpu", "gpu:0"] {
            let out = format!("{model}-{}", device.replace(':', ""));
            train(folder.path(), &out, "2", (GPU_STEPS, &format!("--device {device} --model {model}")));
        }
        let cpu = losses(&folder.path().join(format!("{model}-cpu")));
        let gpu = losses(&folder.path().join(format!("{model}-gpu0")));
        assert_eq!((cpu.len(), gpu.len()), (GPU_STEPS as usize, GPU_STEPS as usize));
        let worst = cpu.iter().zip(&gpu).map(|(a, b)| ((a - b) / a).abs()).fold(0.0, f64::max);
        println!("{model}: losses differ by at most {worst:.2e}, relative");
        assert!(worst < 1e-3, "{model}: losses differ by {worst:.2e}, relative");
    }
}

#[test]
fn mixed_precision_learns_as_f32_does() {
    let folder = folder_with_text();
    let devices = succeed(folder.path(), "devices --json");
    let devices: serde_json::Value = serde_json::from_slice(&devices.stdout).unwrap();
    if devices["adapters"][0]["features"]["f16"] != true {
        println!("skipped: no GPU adapter that computes in f16");
        return;
    }
    for model in ["xlstm-tiny", "llama-tiny"] {
        for (out, flags) in [("f32", "--device cpu"), ("mixed", "--device gpu:0 --precision mixed")] {
            let line = format!(
                "train --data text.txt --steps 3 --batch 2 --context 32 --model {model} --out {model}-{out} {flags}"
            );
            succeed(folder.path(), &line);
        }
        let at = |out: &str| folder.path().join(format!("{model}-{out}"));
        let (full, mixed) = (losses(&at("f32")), losses(&at("mixed")));
        assert_eq!((full.len(), mixed.len()), (3, 3));
        let worst = full.iter().zip(&mixed).map(|(a, b)| ((a - b) / a).abs()).fold(0.0, f64::max);
        println!("{model}: losses differ by at most {worst:.2e}, relative");
        assert!(worst < 1e-2, "{model}: losses differ by {worst:.2e}, relative");
        assert!(worst > 1e-7, "{model}: the same losses, so f16 was not used");
        for row in metrics(&at("mixed")).iter().filter(|row| row["loss"].is_number()) {
            assert_eq!((&row["loss_scale"], &row["skipped"]), (&65_536.0.into(), &false.into()), "{row}");
        }
    }
}
