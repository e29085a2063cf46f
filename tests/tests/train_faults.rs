//! Gradients that are not finite, and a device that goes away.

mod program;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use gradus_engine::Device;
use gradus_trainer::configuration::BatchSize;
use gradus_trainer::device_choice::DeviceChoice;
use gradus_trainer::interrupt::Interrupt;
use gradus_trainer::progress::Progress;
use gradus_trainer::run_folder::checkpoint;
use gradus_trainer::training::{Run, Setup};
use gradus_trainer::verbs::train::Arguments;
use program::{errors, folder_with_text, metrics, run};

/// A model so small that a software GPU is quick at it.
const SMALL: &str = "[model]\narchitecture = \"xlstm\"\nvocab_size = 256\nembedding_dim = 32\nnum_blocks = 1\nnum_heads = 2\n\
                     qk_head_dim = 8\nv_head_dim = 16\nfeed_forward_dim = 64\ncontext_length = 16\n";

fn weights(run: &Path) -> Vec<f32> {
    let step = checkpoint::find_step(run).unwrap();
    checkpoint::read_step(&step).unwrap();
    let bytes = fs::read(step.join("model.safetensors")).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let floats =
        |data: &[u8]| data.chunks(4).map(|word| f32::from_le_bytes(word.try_into().unwrap())).collect::<Vec<_>>();
    tensors.tensors().iter().flat_map(|(_, view)| floats(view.data())).collect()
}

#[test]
fn gradients_that_are_not_finite_stop_or_skip_as_configured() {
    let folder = folder_with_text();
    // So large a rate throws the weights so far that the next forward overflows.
    for (action, skipped) in [("stop", 1..=2), ("skip", 50..=51)] {
        let text = format!("{SMALL}[precision]\non_non_finite = \"{action}\"\n[schedule]\nwarmup = 0.0\n");
        fs::write(folder.path().join("run.toml"), text).unwrap();
        let line = format!(
            "train --config run.toml --device cpu --data text.txt --batch 2 --steps 200 --learning-rate 1e36 --out {action}"
        );
        let output = run(folder.path(), &line);
        let said = errors(&output);
        assert_eq!(output.status.code(), Some(1), "{said}");
        let error = said.lines().find(|line| line.starts_with("error: ")).unwrap();
        assert!(error.contains("the gradient of ") && error.contains(" is not finite"), "{said}");
        let at = folder.path().join(action);
        let count = metrics(&at).iter().filter(|row| row["skipped"] == true).count();
        assert!(skipped.contains(&count), "{action}: {count} steps skipped");
        assert!(weights(&at).iter().all(|weight| weight.is_finite()), "{action}: the weights stay clean");
    }
}

#[test]
fn a_lost_device_is_reported_and_the_last_checkpoint_is_whole() {
    let folder = folder_with_text();
    let at = |name: &str| Some(folder.path().join(name));
    fs::write(folder.path().join("run.toml"), format!("{SMALL}[checkpoint]\nevery = 2\n")).unwrap();
    let arguments = Arguments {
        config: at("run.toml"),
        data: at("text.txt"),
        out: at("run"),
        device: Some(DeviceChoice::Gpu(None)),
        batch: Some(BatchSize::Rows(1)),
        steps: Some(100_000),
        ..Arguments::default()
    };
    let setup = match Setup::new(&arguments, Instant::now()) {
        Ok(setup) => setup,
        Err(error) => {
            assert!(std::env::var("GRADUS_REQUIRE_GPU").as_deref() != Ok("1"), "GRADUS_REQUIRE_GPU=1, but {error}");
            println!("skipped: {error}");
            return;
        }
    };
    let Device::Gpu(gpu) = setup.device.clone() else { panic!("a GPU was asked for") };
    let latest = folder.path().join("run/checkpoint/latest");
    let destroyer = std::thread::spawn(move || {
        let started = Instant::now();
        while !latest.exists() && started.elapsed() < Duration::from_secs(120) {
            std::thread::sleep(Duration::from_millis(2));
        }
        gpu.destroy();
    });
    let progress = Progress::lines(setup.configuration.run_length(), 1000, Box::new(std::io::sink()));
    let error = Run::new(setup, Interrupt::default(), progress)
        .and_then(|run| run.finish_with_sample(false, &mut std::io::sink()))
        .unwrap_err();
    destroyer.join().unwrap();
    assert_eq!(error.exit_code(), 3, "{error}");
    let said = error.to_string();
    assert!(said.starts_with("the device was lost at step ") && said.contains(" during the "), "{said}");
    assert!(weights(&folder.path().join("run")).iter().all(|weight| weight.is_finite()));
}
