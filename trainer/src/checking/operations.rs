//! Every operation on a device against its definition, and its gradients.

use std::io::Write;

use gradus_engine::check::{Row, TABLE, Verdict, check_row};
use gradus_engine::device::gpu;
use gradus_engine::{DType, Device};

use crate::configuration::keys::nearest;
use crate::device_choice::DeviceChoice;
use crate::error::{Result, TrainerError};
use crate::verbs::check::Arguments;

/// Cases of each operation where nobody says how many.
const DEFAULT_CASES: u64 = 24;

/// Prints a line for each operation and type as it is checked.
///
/// # Errors
/// [`TrainerError::ChecksFailed`] if one is over its bound; an unknown operation; no such device.
pub fn run(arguments: &Arguments, out: &mut dyn Write) -> Result<()> {
    let rows = chosen(arguments.operation.as_deref())?;
    let options = gpu::Options { guard_bands: true, ..gpu::Options::from_environment() };
    let (device, why) = arguments.device.open(options)?;
    let types: &[DType] = if device.is_gpu() { &[DType::F32] } else { &[DType::F64, DType::F32] };
    let cases = arguments.cases.unwrap_or(DEFAULT_CASES);
    let mut print = |line: String| super::print(out, &line);
    print(format!("device   {} ({why})", device.name()));
    print("errors are shares of their bounds: above 1 is a failure".into());
    print(format!("{HEAD}\n{}", "-".repeat(HEAD.len())));
    let mut failures = Vec::new();
    for row in rows {
        for dtype in types {
            let verdict = check_row(row, &device, *dtype, arguments.seed, cases as usize);
            print(line(&verdict));
            if let Some((seed, problem)) = &verdict.failure {
                failures.push(verdict.name);
                print(format!("  {problem}\n  repeat it with: {}", repeat(arguments.device, &device, row.name, *seed)));
            }
        }
    }
    if failures.is_empty() {
        print(format!("all right: {} operations, {cases} cases each", rows.len()));
        return Ok(());
    }
    failures.dedup();
    Err(TrainerError::ChecksFailed(format!("{} failed on {}", failures.join(", "), device.name())))
}

fn chosen(operation: Option<&str>) -> Result<&'static [Row]> {
    let Some(name) = operation else { return Ok(TABLE) };
    if let Some(place) = TABLE.iter().position(|row| row.name == name) {
        return Ok(&TABLE[place..=place]);
    }
    let names = || TABLE.iter().map(|row| row.name);
    let hint = match nearest(name, names()) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => format!("there are {}", names().collect::<Vec<_>>().join(", ")),
    };
    Err(TrainerError::Usage { message: format!("--operation: there is no operation `{name}`"), hint: Some(hint) })
}

const HEAD: &str = "operation              type  cases   forward  backward  finite differences  verdict";

fn line(verdict: &Verdict) -> String {
    let measured = verdict.measured;
    let differences = match verdict.dtype {
        DType::F64 => format!("{:.3}", measured.finite_difference),
        _ => "-".into(),
    };
    let word = if verdict.failure.is_none() { "passed" } else { "FAILED" };
    format!(
        "{:<22} {:<4}  {:>5}  {:>8.3}  {:>8.3}  {differences:>18}  {word}",
        verdict.name,
        verdict.dtype.to_string(),
        verdict.cases,
        measured.forward,
        measured.backward
    )
}

/// The command that runs one case alone.
fn repeat(asked: DeviceChoice, device: &Device, operation: &str, seed: u64) -> String {
    let device = match (asked, device) {
        (DeviceChoice::Auto, Device::Cpu(_)) => "cpu".into(),
        (DeviceChoice::Auto, Device::Gpu(gpu)) => format!("gpu:{}", gpu.report().index),
        (asked, _) => asked.to_string(),
    };
    format!("gradus check --device {device} --operation {operation} --cases 1 --seed {seed}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use gradus_engine::check::Measured;

    fn arguments(operation: &str) -> Arguments {
        Arguments { device: DeviceChoice::Cpu, operation: Some(operation.into()), cases: Some(2), seed: 5, vectors: None }
    }

    #[test]
    fn one_operation_is_checked_in_both_types() {
        let mut out = Vec::new();
        run(&arguments("multiply"), &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text.matches("passed").count(), 2, "{text}");
        assert!(text.contains("multiply               f64       2"), "{text}");
    }

    #[test]
    fn an_unknown_operation_suggests_the_nearest() {
        let error = run(&arguments("mutliply"), &mut Vec::new()).unwrap_err();
        assert_eq!((error.exit_code(), error.hint().unwrap().as_str()), (2, "did you mean `multiply`?"));
    }

    #[test]
    fn a_failure_shows_the_command_that_repeats_it() {
        let verdict = Verdict {
            name: "matmul",
            dtype: DType::F32,
            cases: 3,
            measured: Measured { forward: 2.5, backward: 0.5, finite_difference: 0.0 },
            failure: Some((7, "over".into())),
        };
        assert!(line(&verdict).ends_with("-  FAILED"));
        assert_eq!(
            repeat(DeviceChoice::Auto, &Device::cpu(), "matmul", 7),
            "gradus check --device cpu --operation matmul --cases 1 --seed 7"
        );
    }
}
