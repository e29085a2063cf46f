//! Every wrong input gives one clear message that says what to do, an exit code that is not zero, and no panic.

mod program;

use std::fs;
use std::path::Path;

use program::{errors, folder_with_text, run, succeed};

const TRAIN: &str = "train --device cpu --steps 2 --batch 1 --context 16";

/// Runs a line that must fail with this code, and with a message that has all of these parts.
fn refused(folder: &Path, line: &str, code: i32, parts: &[&str]) {
    let output = run(folder, line);
    let said = errors(&output);
    assert_eq!(output.status.code(), Some(code), "gradus {line}: {said}");
    assert!(!said.contains("panicked"), "gradus {line}: {said}");
    assert_eq!(said.matches("error: ").count(), 1, "gradus {line}: {said}");
    for part in parts {
        assert!(said.contains(part), "gradus {line}: no `{part}` in: {said}");
    }
}

#[test]
fn data_that_cannot_be_used() {
    let folder = folder_with_text();
    let at = folder.path();
    fs::write(at.join("empty.txt"), "").unwrap();
    fs::write(at.join("binary.bin"), [0u8, 159, 146, 150].repeat(500)).unwrap();
    fs::write(at.join("short.txt"), "fn main() {}\n".repeat(10)).unwrap();
    refused(at, &format!("{TRAIN} --data nowhere.txt"), 1, &["nowhere.txt", "no such file", "--data"]);
    refused(at, &format!("{TRAIN} --data empty.txt"), 1, &["empty.txt", "is empty", "help:"]);
    refused(at, &format!("{TRAIN} --data binary.bin"), 1, &["binary.bin", "not text", "help:"]);
    refused(at, "train --device cpu --steps 2 --data short.txt --context 500", 1, &["needs at least 501", "--context"]);
    assert!(!at.join("runs").exists(), "a run that cannot start leaves no folder");
}

#[test]
fn numbers_and_names_that_cannot_be() {
    let folder = folder_with_text();
    let at = folder.path();
    for (flags, flag) in [
        ("--steps 0", "--steps"),
        ("--steps -1", "--steps"),
        ("--learning-rate nan", "--learning-rate"),
        ("--learning-rate inf", "--learning-rate"),
        ("--learning-rate -1", "--learning-rate"),
        ("--batch 0", "--batch"),
        ("--context 0", "--context"),
        ("--max-time 0s", "--max-time"),
        ("--precision f16", "--precision"),
    ] {
        refused(at, &format!("train {flags}"), 2, &[flag]);
    }
    refused(at, &format!("{TRAIN} --precision mixed"), 2, &["mode \"mixed\"", "f32"]);
    refused(at, &format!("{TRAIN} --model xlstm-tny"), 2, &["did you mean `xlstm-tiny`?"]);
    refused(at, &format!("{TRAIN} --model no/folder"), 2, &["no file or folder `no/folder`"]);
    refused(at, "train --stps 5", 2, &["--steps"]);
    refused(at, "check --operation matmull --device cpu", 2, &["did you mean `matmul`?"]);
}

#[test]
fn configuration_files_with_mistakes() {
    let folder = folder_with_text();
    let at = folder.path();
    for (text, parts) in [
        ("[train]\nstep = 5\n", &["bad.toml:2", "unknown key `step`", "did you mean `steps`?"][..]),
        ("[optimizer]\nlearning_rate = nan\n", &["bad.toml:2", "learning_rate", "NaN"]),
        ("[train]\nsteps = 0\n", &["bad.toml:2", "`steps`"]),
        ("[trian]\n", &["bad.toml:1", "did you mean [train]?"]),
        ("[train\n", &["bad.toml:1", "not valid TOML"]),
        ("[precision]\nmode = \"mixed\"\n", &["mixed", "f32"]),
        ("[precision]\ninitial_loss_scale = 0.5\n", &["bad.toml:2", "from 1 to 16777216"]),
        ("[precision]\ninitial_loss_scale = 8.0\n", &["initial_loss_scale", "remove"]),
        ("[model]\nvocab_size = 100\n", &["vocab_size", "256"]),
    ] {
        fs::write(at.join("bad.toml"), text).unwrap();
        refused(at, "train --config bad.toml --device cpu --data text.txt", 2, parts);
    }
    refused(at, "train --config none.toml", 1, &["none.toml"]);
    for (assignment, parts) in [
        ("train.step=5", &["--set train.step=5", "unknown key `step`", "did you mean `steps`?"][..]),
        ("optimizer.learning_rate=nan", &["learning_rate", "NaN"]),
        ("steps=3", &["names no section", "--set train.steps="]),
        ("model.vocab_size=100", &["vocab_size", "256"]),
    ] {
        refused(at, &format!("train --device cpu --data text.txt --set {assignment}"), 2, parts);
    }
}

#[test]
fn a_share_to_hold_out_of_data_that_has_its_own() {
    let folder = folder_with_text();
    let at = folder.path();
    succeed(at, "data prepare --input text.txt --out prepared");
    let parts =
        ["`validation_fraction` is 0.2 and has no effect: prepared", "gradus data prepare --validation-fraction"];
    refused(at, &format!("{TRAIN} --data prepared --set data.validation_fraction=0.2"), 2, &parts);
    assert!(!at.join("runs").exists(), "a run that cannot start leaves no folder");
}

#[test]
fn a_resume_with_another_model_or_other_data() {
    let folder = folder_with_text();
    let at = folder.path();
    succeed(at, &format!("{TRAIN} --data text.txt --model llama-tiny --stop-at 1 --out run"));
    let path = at.join("run/config.toml");
    let whole = fs::read_to_string(&path).unwrap();
    for (from, to, parts) in [
        ("num_blocks = 4", "num_blocks = 3", &["step-00000001", "`num_blocks` is 4 in the checkpoint, 3"][..]),
        (
            "context_length = 16",
            "context_length = 8",
            &["step-00000001", "`context_length` is 16 in the checkpoint, 8"],
        ),
        ("seed = 0", "seed = 1", &["run", "another seed"]),
    ] {
        assert!(whole.contains(from), "{whole}");
        fs::write(&path, whole.replace(from, to)).unwrap();
        refused(at, "train --resume run", 1, parts);
    }
    fs::write(&path, &whole).unwrap();
    let text = fs::read_to_string(at.join("text.txt")).unwrap();
    fs::write(at.join("text.txt"), text.replace("line 7:", "line 8:")).unwrap();
    refused(
        at,
        "train --resume run",
        1,
        &["the data is not what the run was trained on", "text.txt", "--init RUN_FOLDER"],
    );
    fs::write(at.join("text.txt"), text).unwrap();
    succeed(at, "train --resume run");
}

#[test]
fn devices_that_are_not_there() {
    let folder = folder_with_text();
    refused(folder.path(), "train --data text.txt --steps 1 --device gpu:77", 1, &["adapter", "gradus devices"]);
    refused(folder.path(), "train --device tpu", 2, &["tpu", "auto, cpu, gpu or gpu:N"]);
    // No driver at all, whatever this machine has.
    let mut none = program::gradus(folder.path(), "train --data text.txt --steps 1 --device gpu");
    let output = none.env("VK_DRIVER_FILES", "/dev/null").env("VK_ICD_FILENAMES", "/dev/null").output().unwrap();
    if cfg!(target_os = "linux") {
        let said = errors(&output);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("no GPU") && said.contains("--device cpu") && !said.contains("panicked"), "{said}");
    }
}

#[test]
fn folders_and_checkpoints_that_cannot_be_used() {
    let folder = folder_with_text();
    let at = folder.path();
    let train = format!("{TRAIN} --data text.txt --model llama-tiny");
    succeed(at, &format!("{train} --out run"));
    refused(at, &format!("{train} --out run"), 1, &["holds another run", "--out"]);
    fs::create_dir(at.join("other")).unwrap();
    fs::write(at.join("other/notes.txt"), "mine").unwrap();
    refused(at, &format!("{train} --out other"), 1, &["not of a run", "notes.txt"]);
    refused(at, "generate --model other", 1, &["no checkpoint here"]);
    refused(at, "generate --model xlstm-tiny", 2, &["no weights"]);
    refused(at, "train --resume other", 1, &["not the folder of a run"]);

    let step = at.join("run/checkpoint/step-00000002");
    let weights = fs::read(step.join("model.safetensors")).unwrap();
    for cut in [0, 4, 200, weights.len() - 1] {
        fs::write(step.join("model.safetensors"), &weights[..cut]).unwrap();
        refused(at, "generate --model run --max-tokens 1", 1, &["model.safetensors", "cut off or changed"]);
        refused(at, "train --resume run", 1, &["model.safetensors", "cut off or changed"]);
    }
    let mut flipped = weights.clone();
    *flipped.last_mut().unwrap() ^= 1;
    fs::write(step.join("model.safetensors"), flipped).unwrap();
    refused(at, "generate --model run --max-tokens 1", 1, &["model.safetensors", "hash"]);
}

/// Files of Hugging Face layout have no hashes: what is wrong is found by looking at the tensors.
#[test]
fn weights_that_do_not_fit() {
    let folder = folder_with_text();
    let at = folder.path();
    succeed(at, &format!("{TRAIN} --data text.txt --model llama-tiny --out run"));
    let step = at.join("run/checkpoint/step-00000002");
    fs::create_dir(at.join("hf")).unwrap();
    let put = |weights: &[u8], configuration: &str| {
        fs::write(at.join("hf/model.safetensors"), weights).unwrap();
        fs::write(at.join("hf/config.json"), configuration).unwrap();
    };
    let weights = fs::read(step.join("model.safetensors")).unwrap();
    let configuration = fs::read_to_string(step.join("config.json")).unwrap();
    let generate = "generate --model hf --max-tokens 3 --device cpu";
    put(&weights, &configuration);
    succeed(at, generate);
    for cut in [0, 7, 300, weights.len() - 3] {
        put(&weights[..cut], &configuration);
        refused(at, generate, 1, &["model.safetensors", "truncated"]);
    }
    put(&weights, &configuration.replace("\"vocab_size\": 256", "\"vocab_size\": 300"));
    refused(at, generate, 1, &["embed_tokens", "has shape [256, 128]", "[300, 128]"]);
    let mut missing = weights.clone();
    let name = b"model.norm.weight";
    let place = missing.windows(name.len()).position(|window| window == name).unwrap();
    missing[place..place + name.len()].copy_from_slice(b"model.nowm.weight");
    put(&missing, &configuration);
    refused(at, generate, 1, &["`model.norm.weight` is missing", "`model.nowm.weight` is not one of the model's"]);
    put(&weights, "{");
    refused(at, generate, 1, &["config.json"]);
    refused(at, &format!("{TRAIN} --data text.txt --model hf"), 1, &["config.json"]);
    // A length in the header that no memory holds.
    let mut huge = weights;
    huge[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    put(&huge, &configuration);
    refused(at, generate, 1, &["model.safetensors"]);
}

/// A limit on the length of files, which the moments do not fit, stands for a full disk: mounting a small one takes rights.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk() {
    let folder = folder_with_text();
    let at = folder.path();
    let line = format!(
        "ulimit -f 8000; exec '{}' {TRAIN} --data text.txt --model llama-tiny --out run",
        program::program().display()
    );
    let output =
        std::process::Command::new("sh").args(["-c", &format!("trap '' XFSZ; {line}")]).current_dir(at).output();
    let output = output.unwrap();
    let said = errors(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("cannot write") && said.contains("safetensors") && !said.contains("panicked"), "{said}");
    assert!(!at.join("run/checkpoint/latest").exists(), "half a checkpoint is none");
    assert!(!program::metrics(&at.join("run")).is_empty(), "the metrics are whole");
}
