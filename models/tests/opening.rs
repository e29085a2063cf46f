//! Opening a folder takes little more host memory than its weights have on the device: nothing is there twice.
//!
//! A process of its own opens the folder and reports the most memory that it held, as Linux counts it: pages of the mapped file,
//! and all else.
#![cfg(target_os = "linux")]

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use gradus_engine::Device;
use gradus_models::configuration::presets;
use gradus_models::folder::{self, Stored, save};
use gradus_models::hugging_face::SpecialTokens;
use gradus_models::{HalfModel, Model};

const FOLDER: &str = "GRADUS_TEST_OPENING_FOLDER";
const DEVICE: &str = "GRADUS_TEST_OPENING_DEVICE";
const MIB: u64 = 1 << 20;

/// A line of `/proc/self/status`, in bytes.
fn status(name: &str) -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

/// What the process of its own does: it is this program again, with a folder in its environment.
fn open_and_report() -> bool {
    let Some(folder) = std::env::var_os(FOLDER) else { return false };
    let folder = Path::new(&folder);
    let on_gpu = std::env::var(DEVICE).unwrap() == "gpu";
    let device = if on_gpu { Device::gpu(0).unwrap() } else { Device::cpu() };
    let before = status("VmHWM");
    let start = Instant::now();
    if on_gpu {
        let model = HalfModel::load(folder, &device).unwrap();
        device.synchronize().unwrap();
        drop(model);
    } else {
        drop(folder::load(folder, &device).unwrap());
    }
    let seconds = start.elapsed().as_secs_f64();
    println!("peak {} before {before} seconds {seconds:.2}", status("VmHWM"));
    true
}

/// The most bytes that a process held while it opened the folder, beyond what it had before.
fn peak(folder: &Path, device: &str) -> u64 {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "opening_holds_nothing_twice", "--nocapture"])
        .env(FOLDER, folder)
        .env(DEVICE, device)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let line = text.lines().find(|line| line.contains("peak ")).unwrap();
    println!("{device}: {line}");
    let number = |name: &str| -> u64 {
        line.split_whitespace().skip_while(|word| !word.ends_with(name)).nth(1).unwrap().parse().unwrap()
    };
    number("peak") - number("before")
}

#[test]
fn opening_holds_nothing_twice() {
    if open_and_report() {
        return;
    }
    // 2 x 96 MiB of embedding and head, 25 MiB of blocks, in bf16.
    let mut configuration = presets::find("xlstm-small").unwrap().model;
    configuration.vocab_size = 3 << 15;
    configuration.num_blocks = 2;
    let model = Model::new(configuration, &Device::cpu(), 1).unwrap();
    let folder = tempfile::tempdir().unwrap();
    save(&model, &SpecialTokens::default(), folder.path(), Stored::Bf16, u64::MAX).unwrap();
    drop(model);
    let file = folder.path().join("model.safetensors").metadata().unwrap().len();
    assert!(file > 190 * MIB, "{file}");
    // The file's pages, the weights in f32, and what is converted at a time.
    let on_cpu = peak(folder.path(), "cpu");
    assert!(on_cpu < file + 2 * file + 64 * MIB, "{on_cpu} bytes for a file of {file}");
    match Device::gpu(0) {
        // A software adapter's own memory is the host's too: the weights in f16, staged as they come.
        Ok(Device::Gpu(gpu)) if gpu.report().shader_f16 => {
            drop(gpu);
            let on_gpu = peak(folder.path(), "gpu");
            assert!(on_gpu < file + file + 140 * MIB, "{on_gpu} bytes for a file of {file}");
        }
        _ => {
            assert!(
                std::env::var("GRADUS_REQUIRE_GPU").as_deref() != Ok("1"),
                "GRADUS_REQUIRE_GPU=1, but there is none"
            );
            println!("skipped on the GPU: there is none with f16");
        }
    }
}
