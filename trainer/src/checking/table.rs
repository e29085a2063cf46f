//! The table that checks print: a line for each operation, type and direction, with the worst error, its bound and their
//! quotient.

use gradus_engine::check::{Direction, Measured, Row, Worst};
use gradus_engine::{DType, Device};

use crate::device_choice::DeviceChoice;

/// The names of the columns and a rule below them.
pub fn head() -> String {
    let names = format!(
        "{:<22} {:<4}  {:<9} {:>7}  {:>11}  {:>9}  {:>6}  verdict",
        "operation", "type", "direction", "cases", "worst error", "its bound", "share"
    );
    format!("{names}\n{}", "-".repeat(names.len()))
}

/// The lines of one operation in one type, for each direction that it has. In f64 the backward is measured by finite
/// differences, in others by f64.
pub fn lines(row: &Row, dtype: DType, cases: u64, measured: &Measured, failed: bool) -> String {
    let Measured { forward, backward, finite_difference } = *measured;
    let name = row.name;
    let line = |direction: &Direction| {
        let Worst { share, error, bound, .. } = match direction {
            Direction::Forward => forward,
            Direction::Backward if dtype == DType::F64 => finite_difference,
            Direction::Backward => backward,
        };
        let verdict = if failed { "FAILED" } else { "passed" };
        let bound = if error == 0.0 { "exact".into() } else { format!("{bound:.2e}") };
        format!(
            "{name:<22} {:<4}  {:<9} {cases:>7}  {error:>11.2e}  {bound:>9}  {share:>6.3}  {verdict}",
            dtype.to_string(),
            direction.name()
        )
    };
    row.directions().iter().map(line).collect::<Vec<_>>().join("\n")
}

/// The line of an operation that the device cannot check in a type.
pub fn skipped(name: &str, dtype: DType, reason: &str) -> String {
    format!("{name:<22} {:<4}  skipped: {reason}", dtype.to_string())
}

/// The command that draws one case again.
pub fn repeat(asked: DeviceChoice, device: &Device, operation: &str, seed: u64, elements: usize) -> String {
    let device = match (asked, device) {
        (DeviceChoice::Auto, Device::Cpu(_)) => "cpu".into(),
        (DeviceChoice::Auto, Device::Gpu(gpu)) => format!("gpu:{}", gpu.report().index),
        (asked, _) => asked.to_string(),
    };
    format!("gradus check --device {device} --operation {operation} --cases 1 --seed {seed} --elements {elements}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use gradus_engine::check::TABLE;

    #[test]
    fn every_direction_has_a_line_with_its_bound() {
        let worst = |share| Worst { share, error: share * 1e-5, bound: 1e-5, ..Worst::default() };
        let measured = Measured {
            forward: worst(2.5),
            backward: worst(0.5),
            finite_difference: Worst { share: 0.25, error: 2.5e-7, bound: 1e-6, ..Worst::default() },
        };
        let matmul = TABLE.iter().find(|row| row.name == "matmul").unwrap();
        let text = lines(matmul, DType::F32, 3, &measured, true);
        assert_eq!(text.lines().count(), 2);
        assert!(text.lines().next().unwrap().ends_with("2.50e-5    1.00e-5   2.500  FAILED"), "{text}");
        let text = lines(matmul, DType::F64, 3, &measured, false);
        assert!(text.lines().last().unwrap().contains("backward        3      2.50e-7    1.00e-6   0.250"), "{text}");
        assert_eq!(
            repeat(DeviceChoice::Auto, &Device::cpu(), "matmul", 7, 64),
            "gradus check --device cpu --operation matmul --cases 1 --seed 7 --elements 64"
        );
    }
}
