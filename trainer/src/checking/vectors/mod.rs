//! A folder of reference vectors: every operation that its files concern, forward and backward, against the stored values.
//!
//! The folder holds `manifest.json` and the files that it names: `mlstm/`, `attention/`, `ops/`. A file's family, that is
//! its folder and how its name begins, says which operation it concerns; everything else stands in the manifest or the file.

mod attention;
mod cross_entropy;
mod file;
mod graph;
mod manifest;
mod mlstm;
mod optimizer;
mod trial;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;

use gradus_engine::device::gpu;
use gradus_engine::{DType, Device};

use super::print;
use crate::configuration::keys::nearest;
use crate::device_choice::DeviceChoice;
use crate::error::{Result, TrainerError};
use file::Vectors;
use manifest::Entry;
use trial::{Measured, Rows, Trial};

/// Files of one operation.
struct Family {
    /// Its folder, or how its names in `ops/` begin.
    name: &'static str,
    /// What rowrel may be in f32.
    rows: Rows,
    check: fn(&mut Trial) -> Result<()>,
}

const fn family(name: &'static str, rows: Rows, check: fn(&mut Trial) -> Result<()>) -> Family {
    Family { name, rows, check }
}

/// Families that are folders.
const FOLDERS: [Family; 2] =
    [family("mlstm", Rows::Times(5.0), mlstm::check), family("attention", Rows::UpTo(2e-4), attention::check)];

/// Families of the folder `ops`.
const OPERATIONS: [Family; 11] = [
    family("adamw", Rows::Any, optimizer::check),
    family("cross_entropy", Rows::Any, cross_entropy::check),
    family("embedding", Rows::Any, graph::embeddings),
    family("layernorm", Rows::Any, graph::layer_norms),
    family("logsigmoid", Rows::Any, graph::log_sigmoids),
    family("multihead_layernorm", Rows::Any, graph::multi_head_norms),
    family("rmsnorm", Rows::Any, graph::rms_norms),
    family("rope", Rows::Any, attention::check_rotary),
    family("softcap", Rows::Any, graph::soft_caps),
    family("softmax", Rows::Any, graph::softmaxes),
    family("swiglu", Rows::Any, graph::swiglus),
];

/// Operations that files are known of, and that are not here.
const ABSENT: [&str; 1] = ["slstm_cell"];

fn bad(path: &Path, problem: impl Into<String>) -> TrainerError {
    TrainerError::Vectors { path: path.to_owned(), problem: problem.into() }
}

/// What becomes of a file.
enum Plan {
    Check(&'static Family),
    Skip(String),
}

/// How a name in `ops/` begins: with the word, and then no letter.
fn begins(stem: &str, word: &str) -> bool {
    stem.strip_prefix(word).is_some_and(|rest| !rest.starts_with(char::is_alphabetic))
}

fn plan(file: &str) -> Plan {
    let (folder, stem) = stem(file).split_once('/').unwrap_or(("", file));
    if let Some(family) = FOLDERS.iter().find(|family| family.name == folder) {
        return Plan::Check(family);
    }
    if folder != "ops" {
        return Plan::Skip(format!("{file} (a model's, or none of mlstm/, attention/ and ops/)"));
    }
    if let Some(name) = ABSENT.iter().find(|name| begins(stem, name)) {
        return Plan::Skip(format!("{name} (no such operation)"));
    }
    match OPERATIONS.iter().find(|family| begins(stem, family.name)) {
        Some(family) => Plan::Check(family),
        None => Plan::Skip(format!("no operation for {file}")),
    }
}

/// The counts of the last line, and what failed.
#[derive(Default)]
struct Tally {
    files: usize,
    skipped: usize,
    failed: BTreeMap<String, String>,
}

/// Checks the files of a folder, or of one operation, on a device; prints a line for each, on the CPU one for f64 and one
/// for f32.
///
/// # Errors
/// [`TrainerError::ChecksFailed`], naming the files and what is wrong, if one is over its tolerance or cannot be read;
/// [`TrainerError::Vectors`] for a manifest that cannot be used; an unknown operation; no such device.
pub fn run(folder: &Path, choice: DeviceChoice, operation: Option<&str>, out: &mut dyn Write) -> Result<()> {
    let mut files = manifest::read(folder)?;
    if let Some(name) = operation {
        known(name)?;
        files.retain(|file, _| matches!(plan(file), Plan::Check(family) if family.name == name));
        if files.is_empty() {
            return Err(bad(&folder.join(manifest::MANIFEST), format!("it names no file of `{name}`")));
        }
    }
    let options = gpu::Options { guard_bands: true, ..gpu::Options::from_environment() };
    let (device, why) = choice.open(options)?;
    print(out, &format!("device   {} ({why})", device.name()));
    print(out, EXPLANATION);
    print(out, &format!("{HEAD}\n{}", "-".repeat(HEAD.len())));
    let unnamed = if operation.is_none() { unnamed(folder, &files) } else { Vec::new() };
    let mut tally = Tally { skipped: unnamed.len(), ..Tally::default() };
    for (file, entry) in files {
        match plan(&file) {
            Plan::Check(family) => {
                tally.files += 1;
                let problem = match check(folder, &file, entry, family, &device, out) {
                    Ok(over) => over,
                    Err(error) => {
                        let problem = problem(error)?;
                        print(out, &format!("{:<27} FAILED: {problem}", stem(&file)));
                        Some(problem)
                    }
                };
                tally.failed.extend(problem.map(|problem| (file, problem)));
            }
            Plan::Skip(why) => {
                tally.skipped += 1;
                print(out, &format!("skipped: {why}"));
            }
        }
    }
    for file in unnamed {
        print(out, &format!("skipped: {file} (the manifest does not name it)"));
    }
    tally.verdict(&device, out)
}

impl Tally {
    fn verdict(self, device: &Device, out: &mut dyn Write) -> Result<()> {
        let Self { files, skipped, failed } = self;
        if failed.is_empty() {
            print(out, &format!("all right: {files} files within their tolerances, {skipped} skipped"));
            return Ok(());
        }
        let list: Vec<String> = failed.iter().map(|(file, problem)| format!("{file} ({problem})")).collect();
        Err(TrainerError::ChecksFailed(format!(
            "{} of {files} files failed on {}: {}",
            failed.len(),
            device.name(),
            list.join("; ")
        )))
    }
}

/// Checks one file in every type that the device has; gives the worst of what is over its tolerance.
///
/// # Errors
/// A file that cannot be read or does not fit its operation.
fn check(
    folder: &Path,
    file: &str,
    entry: Entry,
    family: &Family,
    device: &Device,
    out: &mut dyn Write,
) -> Result<Option<String>> {
    let vectors = Vectors::read(folder, file, entry)?;
    let mut over = None;
    let types: &[DType] = if device.is_gpu() { &[DType::F32] } else { &[DType::F64, DType::F32] };
    for &dtype in types {
        let mut trial = Trial { vectors: &vectors, device, dtype, rows: family.rows, measured: Vec::new() };
        (family.check)(&mut trial)?;
        let worst = worst(&trial.measured).ok_or_else(|| vectors.problem("it has no result to compare with"))?;
        print(out, &line(stem(file), dtype, &trial.measured, worst));
        for measured in trial.measured.iter().filter(|measured| measured.is_over()) {
            print(out, &format!("  {}: {:.2e}, allowed {:.2e}", measured.what(), measured.error, measured.allowed));
        }
        if worst.is_over() {
            over.get_or_insert(format!("{} in {dtype}", worst.what()));
        }
    }
    // Gradients under another definition of the denominator are stored for information.
    let unused: Vec<&str> = vectors.unused().into_iter().filter(|name| !name.ends_with("_cd")).collect();
    if !unused.is_empty() {
        print(out, &format!("  not used: {}", unused.join(", ")));
    }
    Ok(over)
}

fn stem(file: &str) -> &str {
    file.strip_suffix(".safetensors").unwrap_or(file)
}

/// What is wrong with a file, for its line. A lost device ends everything.
fn problem(error: TrainerError) -> Result<String> {
    match error {
        TrainerError::LostDevice { .. } => Err(error),
        TrainerError::Vectors { problem, .. } => Ok(problem),
        other => Ok(other.to_string()),
    }
}

fn worst(measured: &[Measured]) -> Option<&Measured> {
    measured.iter().max_by(|a, b| a.share().total_cmp(&b.share()))
}

const EXPLANATION: &str = "relmax: max |a - b| / max |b| of a tensor; rowrel: the same of its rows; relative: of its elements\n\
                           errors are shown with what they may be and as shares of that: above 1 is a failure";
const HEAD: &str = "file                        type  tensors  worst                                  error  allowed     share  verdict";

fn line(stem: &str, dtype: DType, measured: &[Measured], worst: &Measured) -> String {
    let mut tensors: Vec<&str> = measured.iter().map(|measured| measured.tensor.as_str()).collect();
    tensors.sort_unstable();
    tensors.dedup();
    let verdict = if worst.is_over() { "FAILED" } else { "passed" };
    format!(
        "{stem:<27} {:<4}  {:>7}  {:<34}  {:>8.1e}  {:>7.1e}  {:>8.3}  {verdict}",
        dtype.to_string(),
        tensors.len(),
        worst.what(),
        worst.error,
        worst.allowed,
        worst.share()
    )
}

/// # Errors
/// A name that is no family's.
fn known(name: &str) -> Result<()> {
    let names = || FOLDERS.iter().chain(&OPERATIONS).map(|family| family.name);
    if names().any(|known| known == name) {
        return Ok(());
    }
    let hint = match nearest(name, names()) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => format!("there are {}", names().collect::<Vec<_>>().join(", ")),
    };
    Err(TrainerError::Usage { message: format!("--operation: no vectors are known of `{name}`"), hint: Some(hint) })
}

/// Files of vectors in the folder that the manifest does not name.
fn unnamed(folder: &Path, files: &BTreeMap<String, Entry>) -> Vec<String> {
    let mut found = Vec::new();
    for part in ["attention", "mlstm", "ops"] {
        let Ok(entries) = fs::read_dir(folder.join(part)) else { continue };
        let names = entries.flatten().map(|entry| format!("{part}/{}", entry.file_name().to_string_lossy()));
        found.extend(names.filter(|name| name.ends_with(".safetensors") && !files.contains_key(name)));
    }
    found.sort_unstable();
    found
}
