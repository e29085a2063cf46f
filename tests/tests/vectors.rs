//! The reference vectors through the runner of `gradus check --vectors`: in the library, on every device, and as the program;
//! and that folders with mistakes and results with mistakes are found.

mod program;

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use gradus_engine::device::gpu::{Options, adapter};
use gradus_trainer::TrainerError;
use gradus_trainer::checking::vectors;
use gradus_trainer::device_choice::DeviceChoice;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde_json::{Value, json};

/// The repository's own vectors.
fn kept() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors")
}

/// The folders of vectors that are here: the repository's own, and the whole set.
fn folders() -> Vec<PathBuf> {
    let named = std::env::var_os("GRADUS_REFERENCE").map(PathBuf::from);
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/reference");
    let whole = named.unwrap_or_else(beside).join("vectors");
    if whole.join("manifest.json").is_file() {
        return vec![kept(), whole];
    }
    println!("skipped: {} has no vectors (set GRADUS_REFERENCE)", whole.display());
    vec![kept()]
}

/// The table that is printed, and the verdict.
fn check(folder: &Path, device: DeviceChoice, operation: Option<&str>) -> (String, Result<(), TrainerError>) {
    let mut out = Vec::new();
    let verdict = vectors::run(folder, device, operation, &mut out);
    (String::from_utf8(out).unwrap(), verdict)
}

/// Every file of the folder must be there: checked in so many types, or skipped for a known reason.
fn all_right(folder: &Path, device: DeviceChoice, types: usize) {
    let (table, verdict) = check(folder, device, None);
    println!("{table}");
    verdict.unwrap_or_else(|error| panic!("{error}\n{table}"));
    let manifest: HashMap<String, Value> =
        serde_json::from_slice(&fs::read(folder.join("manifest.json")).unwrap()).unwrap();
    for file in manifest.keys() {
        let (part, stem) = file.strip_suffix(".safetensors").unwrap().split_once('/').unwrap();
        let lines = table.lines().filter(|line| line.starts_with(&format!("{part}/{stem} ")));
        let skipped = !["mlstm", "attention", "ops"].contains(&part) || stem == "slstm_cell";
        assert_eq!(lines.count(), if skipped { 0 } else { types }, "{file}: {table}");
    }
    assert!(table.contains("skipped: slstm_cell (no such operation)"), "{table}");
}

#[test]
fn every_operation_gives_the_authors_numbers_on_the_cpu() {
    for folder in folders() {
        all_right(&folder, DeviceChoice::Cpu, 2);
    }
}

/// On the first adapter, software or not.
#[test]
fn every_operation_gives_the_authors_numbers_on_a_gpu() {
    if let Err(error) = adapter::open(0, Options::from_environment()) {
        assert!(std::env::var("GRADUS_REQUIRE_GPU").as_deref() != Ok("1"), "GRADUS_REQUIRE_GPU=1, but {error}");
        println!("skipped: {error}");
        return;
    }
    for folder in folders() {
        all_right(&folder, DeviceChoice::Gpu(Some(0)), 1);
    }
}

/// Names, types, sizes and bytes.
type Tensors = Vec<(String, Dtype, Vec<usize>, Vec<u8>)>;

/// A folder with one file of the kept ones, changed.
struct Copy {
    folder: tempfile::TempDir,
    file: &'static str,
    entry: Value,
    tensors: Tensors,
}

impl Copy {
    fn of(file: &'static str) -> Self {
        let manifest: Value = serde_json::from_slice(&fs::read(kept().join("manifest.json")).unwrap()).unwrap();
        let bytes = fs::read(kept().join(file)).unwrap();
        let parsed = SafeTensors::deserialize(&bytes).unwrap();
        let owned = |(name, view): (&str, TensorView)| {
            (name.to_owned(), view.dtype(), view.shape().to_vec(), view.data().to_vec())
        };
        let tensors = parsed.iter().map(owned).collect();
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join(file).parent().unwrap()).unwrap();
        Self { folder, file, entry: manifest[file].clone(), tensors }
    }

    fn tensor(&mut self, name: &str) -> &mut (String, Dtype, Vec<usize>, Vec<u8>) {
        self.tensors.iter_mut().find(|(other, ..)| other == name).unwrap()
    }

    fn remove(&mut self, name: &str) {
        self.tensors.retain(|(other, ..)| other != name);
        self.entry["tensors"].as_object_mut().unwrap().remove(name);
    }

    /// Multiplies an element of an f32 tensor.
    fn spoil(&mut self, name: &str, place: usize, factor: f32) {
        let word = &mut self.tensor(name).3[4 * place..][..4];
        let value = f32::from_le_bytes(word.try_into().unwrap()) * factor;
        word.copy_from_slice(&value.to_le_bytes());
    }

    fn write(&self) -> &Path {
        let views = self
            .tensors
            .iter()
            .map(|(name, dtype, sizes, data)| (name, TensorView::new(*dtype, sizes.clone(), data).unwrap()));
        fs::write(self.folder.path().join(self.file), safetensors::serialize(views, None).unwrap()).unwrap();
        let manifest = json!({ self.file: self.entry }).to_string();
        fs::write(self.folder.path().join("manifest.json"), manifest).unwrap();
        self.folder.path()
    }

    /// The error that the folder gives on the CPU, which must not be a usage error.
    fn error(&self) -> String {
        let (table, verdict) = check(self.write(), DeviceChoice::Cpu, None);
        let error = verdict.map_or_else(|error| error, |()| panic!("not found: {table}"));
        assert_eq!(error.exit_code(), 1);
        error.to_string()
    }
}

#[test]
fn the_program_names_the_file_and_the_tensor_of_a_wrong_value() {
    let mut copy = Copy::of("mlstm/exp_short.safetensors");
    let line = "check --device cpu --vectors .";
    assert!(program::run(copy.write(), line).status.success());
    copy.spoil("dk", 7, 1.01);
    let output = program::run(copy.write(), line);
    let said = program::errors(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("mlstm/exp_short.safetensors (dk relmax") && said.contains("1 of 1 files failed"), "{said}");
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(table.contains("FAILED") && table.contains("  dk relmax, chunk 16: "), "{table}");
}

/// The largest element of a stored result off by a hundredth is found, and so is an input off by a hundredth everywhere. One
/// element of an input may have no influence: the first forget gate on an empty state, for instance.
#[test]
fn a_wrong_value_in_any_tensor_is_found() {
    for file in [
        "mlstm/exp_short.safetensors",
        "mlstm/exp_steps.safetensors",
        "mlstm/sig_ragged.safetensors",
        "attention/mha_d80_s33.safetensors",
        "ops/adamw_clip.safetensors",
        "ops/cross_entropy.safetensors",
        "ops/embedding.safetensors",
        "ops/layernorm.safetensors",
        "ops/logsigmoid.safetensors",
        "ops/multihead_layernorm.safetensors",
        "ops/rmsnorm.safetensors",
        "ops/rope_d32.safetensors",
        "ops/softcap.safetensors",
        "ops/softmax.safetensors",
        "ops/swiglu.safetensors",
    ] {
        let names: Vec<String> = Copy::of(file).tensors.iter().map(|(name, ..)| name.clone()).collect();
        for name in names.iter().filter(|name| !name.ends_with("_cd")) {
            let mut copy = Copy::of(file);
            let is_input = copy.entry["tensors"][name]["role"] == "input";
            let (_, dtype, _, data) = copy.tensor(name);
            if *dtype != Dtype::F32 {
                continue;
            }
            let values: Vec<f32> =
                data.chunks(4).map(|word| f32::from_le_bytes(word.try_into().unwrap()).abs()).collect();
            let largest = values.iter().copied().fold(0.0, f32::max);
            if largest == 0.0 {
                data.as_chunks_mut().0.fill(0.5f32.to_le_bytes());
            }
            for (place, value) in values.into_iter().enumerate() {
                if is_input || value == largest {
                    copy.spoil(name, place, 1.01);
                }
            }
            let error = copy.error();
            assert!(error.contains(file), "{name}: {error}");
        }
    }
}

#[test]
fn files_with_mistakes_give_an_error_that_names_the_file_and_the_field() {
    let refused = |file: &'static str, change: &dyn Fn(&mut Copy), parts: &[&str]| {
        let mut copy = Copy::of(file);
        change(&mut copy);
        let error = copy.error();
        for part in parts.iter().chain(&[file]) {
            assert!(error.contains(part), "no `{part}` in: {error}");
        }
    };
    let short = "mlstm/exp_short.safetensors";
    refused(short, &|copy| copy.tensors.retain(|(name, ..)| name != "dh"), &["tensor `dh` is missing"]);
    refused(short, &|copy| copy.remove("k"), &["tensor `k` is missing"]);
    refused(short, &|copy| copy.entry["tensors"]["q"]["shape"] = json!([2, 2, 5, 9]), &["`q`", "[2, 2, 5, 8]", "9]"]);
    refused(short, &|copy| copy.entry["tensors"]["q"]["dtype"] = json!("float16"), &["`q` is float32", "float16"]);
    refused(short, &|copy| drop(copy.entry["meta"].as_object_mut().unwrap().remove("eps")), &["`eps` is missing"]);
    refused(short, &|copy| copy.entry["meta"]["eps"] = json!("small"), &["`eps`", "`small`"]);
    refused(short, &|copy| copy.entry["meta"]["variant"] = json!("tanh"), &["`variant`", "`tanh`"]);
    refused(short, &|copy| copy.spoil("i", 3, f32::NAN), &["`i`", "element 3"]);
    let reshaped = |name: &'static str, sizes: &'static [usize]| {
        move |copy: &mut Copy| {
            copy.tensor(name).2 = sizes.to_vec();
            copy.entry["tensors"][name]["shape"] = json!(sizes);
        }
    };
    refused(short, &reshaped("f", &[2, 5, 2]), &["`f` has sizes [2, 5, 2], expected [2, 2, 5]"]);
    refused(short, &reshaped("q", &[20, 8]), &["`q` has sizes [20, 8], expected [B, H, S, D]"]);
    refused(short, &reshaped("dq", &[2, 2, 8, 5]), &["`dq` has sizes [2, 2, 8, 5], the inputs give [2, 2, 5, 8]"]);
    let half = |copy: &mut Copy| {
        let (_, dtype, _, data) = copy.tensor("q");
        *dtype = Dtype::F16;
        data.truncate(data.len() / 2);
    };
    refused(short, &half, &["`q` is F16", "f32, f64, i32 and i64"]);
    let attention = "attention/mha_d80_s33.safetensors";
    refused(attention, &|copy| copy.entry["meta"]["causal"] = json!(false), &["`causal`"]);
    refused(attention, &|copy| copy.remove("v"), &["tensor `v` is missing"]);
    refused(attention, &|copy| copy.entry["meta"]["scale"] = json!(-1), &["`scale`", "-1"]);
    let id = |copy: &mut Copy| copy.tensor("ids").3[..8].copy_from_slice(&11i64.to_le_bytes());
    refused("ops/embedding.safetensors", &id, &["`ids`: 11 at place 0 is outside 0..11"]);
    let negative = |copy: &mut Copy| copy.tensor("ids").3[8..16].copy_from_slice(&(-1i64).to_le_bytes());
    refused("ops/embedding.safetensors", &negative, &["`ids`: -1 at place 1"]);
    let floats = |copy: &mut Copy| {
        copy.tensor("ids").1 = Dtype::F64;
        copy.entry["tensors"]["ids"]["dtype"] = json!("float64");
    };
    refused("ops/embedding.safetensors", &floats, &["`ids` holds floats"]);
    refused("ops/rmsnorm.safetensors", &reshaped("w", &[8, 10]), &["rms_norm: the weight must be [80]"]);
    refused("ops/rope_d32.safetensors", &|copy| copy.entry["meta"]["head_dim"] = json!(64), &["`head_dim` is 64"]);
    refused("ops/rope_d32.safetensors", &|copy| copy.entry["meta"]["position_offset"] = json!(-1), &["from 0 on"]);
    refused("ops/adamw.safetensors", &|copy| copy.entry["meta"]["steps"] = json!(9), &["10 steps, expected 9"]);
    refused("ops/adamw.safetensors", &|copy| copy.entry["meta"]["beta1"] = json!(1.5), &["beta"]);
    let bare = |copy: &mut Copy| ["y", "dy"].iter().for_each(|name| copy.remove(name));
    let bare = |copy: &mut Copy| {
        bare(copy);
        ["dgate", "dup"].iter().for_each(|name| copy.remove(name));
    };
    refused("ops/swiglu.safetensors", &bare, &["no result to compare with"]);
}

#[test]
fn other_parameters_than_those_of_the_set_are_followed() {
    // A scale of its own is a factor of the query: with q halved and the scale doubled, all but dq is the same.
    for (file, parameter) in
        [("mlstm/exp_short.safetensors", "qk_scale"), ("attention/mha_d80_s33.safetensors", "scale")]
    {
        let mut copy = Copy::of(file);
        let count = copy.tensor("q").3.len() / 4;
        (0..count).for_each(|place| copy.spoil("q", place, 0.5));
        (0..count).for_each(|place| copy.spoil("dq", place, 2.0));
        copy.entry["meta"][parameter] = json!(copy.entry["meta"][parameter].as_f64().unwrap() * 2.0);
        let (table, verdict) = check(copy.write(), DeviceChoice::Cpu, None);
        verdict.unwrap_or_else(|error| panic!("{error}\n{table}"));
    }
    // Parameters may stand in the file alone, and names may go on after the family.
    let mut copy = Copy::of("ops/rmsnorm.safetensors");
    copy.file = "ops/rmsnorm_7.safetensors";
    let (table, verdict) = check(copy.write(), DeviceChoice::Cpu, Some("rmsnorm"));
    verdict.unwrap_or_else(|error| panic!("{error}\n{table}"));
    assert_eq!(table.matches("ops/rmsnorm_7 ").count(), 2, "{table}");
}

#[test]
fn folders_with_mistakes() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |files: &[(&str, &str)], parts: &[&str]| {
        for (name, text) in files {
            fs::create_dir_all(folder.path().join(name).parent().unwrap()).unwrap();
            fs::write(folder.path().join(name), text).unwrap();
        }
        let output = program::run(folder.path(), "check --device cpu --vectors .");
        let said = program::errors(&output);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(!said.contains("panicked") && said.matches("error: ").count() == 1, "{said}");
        parts.iter().for_each(|part| assert!(said.contains(part), "no `{part}` in: {said}"));
    };
    refused(&[], &["has no manifest.json", "docs/checks.md"]);
    for (text, part) in [
        ("{", "not a JSON object of files"),
        ("[]", "not a JSON object of files"),
        ("{}", "names no file"),
        (r#"{"ops/swiglu.safetensors": {"meta": {}}}"#, "entry `ops/swiglu.safetensors`: missing field `tensors`"),
        (r#"{"../x.safetensors": {"tensors": {}}}"#, "not a path inside the folder"),
        (r#"{"ops/swiglu.safetensors": {"tensors": {"y": {"tol_cpu": -1}}}}"#, "`tol_cpu` of tensor `y`"),
    ] {
        refused(&[("manifest.json", text)], &["manifest.json", part]);
    }
    let one = r#"{"ops/swiglu.safetensors": {"tensors": {}}}"#;
    refused(&[("manifest.json", one)], &["ops/swiglu.safetensors (the manifest names it, but there is no such file)"]);
    let whole = fs::read(kept().join("ops/swiglu.safetensors")).unwrap();
    for cut in [0, 7, 100, whole.len() - 1] {
        fs::write(folder.path().join("ops/swiglu.safetensors"), &whole[..cut]).unwrap_or_else(|_| {
            fs::create_dir_all(folder.path().join("ops")).unwrap();
            fs::write(folder.path().join("ops/swiglu.safetensors"), &whole[..cut]).unwrap();
        });
        refused(&[], &["ops/swiglu.safetensors", "truncated"]);
    }
    let output = program::run(folder.path(), "check --device cpu --vectors nowhere");
    assert!(program::errors(&output).contains("nowhere: there is no such folder"));
    let output = program::run(folder.path(), "check --device cpu --vectors . --operation swigul");
    assert_eq!(output.status.code(), Some(2));
    assert!(program::errors(&output).contains("did you mean `swiglu`?"));
    let output = program::run(folder.path(), "check --device cpu --vectors . --operation rope");
    assert!(program::errors(&output).contains("no file of `rope`"));
}

#[test]
fn what_nobody_knows_is_skipped_and_counted() {
    let folder = Copy::of("ops/swiglu.safetensors");
    let path = folder.write();
    let manifest = json!({
        "ops/swiglu.safetensors": folder.entry,
        "ops/foo.safetensors": { "tensors": {} },
        "tiny/grads.safetensors": { "tensors": {} },
    });
    fs::write(path.join("manifest.json"), manifest.to_string()).unwrap();
    fs::write(path.join("ops/softmax.safetensors"), "").unwrap();
    let (table, verdict) = check(path, DeviceChoice::Cpu, None);
    verdict.unwrap_or_else(|error| panic!("{error}\n{table}"));
    for part in [
        "skipped: no operation for ops/foo.safetensors",
        "skipped: tiny/grads.safetensors",
        "skipped: ops/softmax.safetensors (the manifest does not name it)",
        "all right: 1 files within their tolerances, 3 skipped",
    ] {
        assert!(table.contains(part), "no `{part}` in {table}");
    }
}
