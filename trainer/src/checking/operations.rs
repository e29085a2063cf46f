//! Every operation on a device against its definition, and its gradients.

use std::collections::BTreeSet;
use std::io::Write;

use gradus_engine::check::{FORWARD_ONLY, Failure, HALF, Row, TABLE, check_sized, half_missing};
use gradus_engine::device::gpu;
use gradus_engine::{DType, Device};

use super::table;
use crate::configuration::keys::nearest;
use crate::error::{Result, TrainerError};
use crate::verbs::check::Arguments;

/// Cases of each operation where nobody says how many.
const DEFAULT_CASES: u64 = 24;

/// What is checked where.
pub(super) struct Plan {
    pub device: Device,
    /// Why it is this device.
    pub why: String,
    /// The lines in their order: f64 on the CPU alone, f16 where an operation has it.
    lines: Vec<(&'static Row, DType)>,
}

impl Plan {
    /// Opens the device, with a guard band behind every tensor if it is a GPU, and finds the operations.
    ///
    /// # Errors
    /// An unknown operation; no such device.
    pub fn new(arguments: &Arguments) -> Result<Self> {
        let chosen = chosen(arguments.operation.as_deref())?;
        let options = gpu::Options { guard_bands: true, ..gpu::Options::from_environment() };
        let (device, why) = arguments.device.open(options)?;
        let types: &[DType] = if device.is_gpu() { &[DType::F32] } else { &[DType::F64, DType::F32] };
        let lines = TABLE.iter().flat_map(|row| {
            let half = HALF.iter().filter(|half| half.name == row.name).map(|half| (half, DType::F16));
            types.iter().map(move |&dtype| (row, dtype)).chain(half)
        });
        let forward_only = FORWARD_ONLY.iter().map(|(row, dtype)| (row, *dtype));
        let wanted = |(row, _): &(&Row, DType)| chosen.is_none_or(|name| name == row.name);
        Ok(Self { device, why, lines: lines.chain(forward_only).filter(wanted).collect() })
    }

    /// What is checked on this device: an operation in a type, f16 for its cases in mixed precision.
    pub fn lines(&self) -> impl Iterator<Item = (&'static Row, DType)> {
        let missing = half_missing(&self.device).is_some();
        self.lines.iter().copied().filter(move |(_, dtype)| !(missing && *dtype == DType::F16))
    }

    /// The lines above the table.
    pub fn opening(&self) -> String {
        let driver = match &self.device {
            Device::Gpu(gpu) => format!(", {}", gpu.report().driver),
            Device::Cpu(_) => String::new(),
        };
        format!(
            "device   {}{driver} ({})\nthe worst error is the one with the largest share of its bound; a share above 1 is a \
             failure",
            self.device.name(),
            self.why
        )
    }

    /// How a failure is told.
    pub fn tell(&self, arguments: &Arguments, operation: &str, failure: &Failure) -> String {
        let repeat = table::repeat(arguments.device, &self.device, operation, failure.seed, failure.elements);
        format!("  {}\n  repeat it with: {repeat}", failure.problem)
    }
}

/// Prints the lines of each operation and type as it is checked.
///
/// # Errors
/// [`TrainerError::ChecksFailed`] if one is over its bound; an unknown operation; no such device.
pub fn run(arguments: &Arguments, out: &mut dyn Write) -> Result<()> {
    let plan = Plan::new(arguments)?;
    let cases = arguments.cases.unwrap_or(DEFAULT_CASES);
    let elements = arguments.elements.map(|elements| elements as usize);
    let mut print = |line: String| super::print(out, &line);
    print(plan.opening());
    print(table::head());
    let mut failures = Vec::new();
    let mut worst = 0.0f64;
    let missing = half_missing(&plan.device);
    for &(row, dtype) in &plan.lines {
        if let (DType::F16, Some(reason)) = (dtype, missing) {
            print(table::skipped(row.name, dtype, reason));
            continue;
        }
        let verdict = check_sized(row, &plan.device, dtype, arguments.seed, cases as usize, elements);
        worst = worst.max(verdict.measured.worst());
        print(table::lines(row, dtype, cases, &verdict.measured, verdict.failure.is_some()));
        if let Some(failure) = &verdict.failure {
            failures.push(verdict.name);
            print(plan.tell(arguments, row.name, failure));
        }
    }
    if failures.is_empty() {
        let operations = plan.lines().map(|(row, _)| row.name).collect::<BTreeSet<_>>().len();
        print(match operations {
            0 => "nothing was checked: this device has no kernels for it".into(),
            _ => format!("all right: {operations} operations, {cases} cases each, worst share {worst:.3}"),
        });
        return Ok(());
    }
    failures.dedup();
    Err(TrainerError::ChecksFailed(format!("{} failed on {}", failures.join(", "), plan.device.name())))
}

/// The operation asked for, if one is.
fn chosen(operation: Option<&str>) -> Result<Option<&str>> {
    let names = || TABLE.iter().chain(FORWARD_ONLY.iter().map(|(row, _)| row)).map(|row| row.name);
    let Some(name) = operation.filter(|name| names().all(|known| known != *name)) else { return Ok(operation) };
    let hint = match nearest(name, names()) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => format!("there are {}", names().collect::<Vec<_>>().join(", ")),
    };
    Err(TrainerError::Usage { message: format!("--operation: there is no operation `{name}`"), hint: Some(hint) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_operation_is_checked_in_both_types() {
        let mut out = Vec::new();
        run(&Arguments { seed: 5, ..Arguments::of_operation("multiply", 2) }, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text.matches("passed").count(), 4, "{text}");
        assert!(text.contains("multiply               f64   forward         2"), "{text}");
    }

    #[test]
    fn mixed_precision_on_the_cpu_is_a_line_that_says_why_it_is_skipped() {
        let mut out = Vec::new();
        run(&Arguments::of_operation("add", 2), &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text.matches("passed").count(), 4, "{text}");
        assert!(text.contains("add                    f16   skipped: on the CPU f16 is storage only"), "{text}");
    }

    #[test]
    fn what_has_no_gradient_has_a_line_for_the_forward_alone() {
        let mut out = Vec::new();
        run(&Arguments::of_operation("sampling", 2), &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text.matches("passed").count(), 1, "{text}");
        assert!(text.contains("sampling               f32   forward         2") && text.contains("exact"), "{text}");
        let mut out = Vec::new();
        run(&Arguments::of_operation("decode_mlstm", 2), &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains("decode_mlstm           f16   skipped: on the CPU f16 is storage only"), "{text}");
        assert!(text.contains("nothing was checked") && !text.contains("all right"), "{text}");
    }

    #[test]
    fn an_unknown_operation_suggests_the_nearest() {
        let error = run(&Arguments::of_operation("mutliply", 2), &mut Vec::new()).unwrap_err();
        assert_eq!((error.exit_code(), error.hint().unwrap().as_str()), (2, "did you mean `multiply`?"));
    }
}
