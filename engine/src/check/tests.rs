//! The table's checks, each row on each target. `GRADUS_CASES` sets the number of random cases a row.

use super::test_device::gpu;
use super::{Direction, FORWARD_ONLY, HALF, Measured, Row, TABLE, check_row, half_missing, missed_mistakes};
use crate::{DType, Device};

fn cases() -> usize {
    std::env::var("GRADUS_CASES").ok().and_then(|value| value.parse().ok()).unwrap_or(12)
}

fn check(rows: &[Row], device: &Device, dtype: DType) {
    let verdicts: Vec<_> = rows.iter().map(|row| check_row(row, device, dtype, 0, cases())).collect();
    let mut failed = Vec::new();
    for verdict in verdicts {
        let Measured { forward, backward, finite_difference } = verdict.measured;
        let shares = [forward.share, backward.share, finite_difference.share];
        println!("{:24} {} {shares:.3?}", verdict.name, verdict.dtype);
        failed.extend(verdict.failure.map(|failure| format!("{} {failure}", verdict.name)));
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn every_operation_on_the_cpu_in_f64_with_finite_differences() {
    check(TABLE, &Device::cpu(), DType::F64);
}

#[test]
fn every_operation_on_the_cpu_in_f32() {
    check(TABLE, &Device::cpu(), DType::F32);
}

#[test]
fn every_operation_on_the_gpu() {
    if let Some(gpu) = gpu() {
        check(TABLE, &gpu, DType::F32);
    }
}

/// The GPU if it has f16; else the reason is printed.
fn half_gpu() -> Option<Device> {
    let gpu = gpu()?;
    match half_missing(&gpu) {
        None => Some(gpu),
        Some(reason) => {
            println!("skipped: {reason}");
            None
        }
    }
}

#[test]
fn every_operation_in_mixed_precision() {
    if let Some(gpu) = half_gpu() {
        check(HALF, &gpu, DType::F16);
    }
}

/// The same values in the types computed in: on the CPU nothing is f16, so the ordinary bounds hold.
#[test]
fn operations_in_mixed_precision_compute_in_full_on_the_cpu() {
    check(HALF, &Device::cpu(), DType::F64);
    check(HALF, &Device::cpu(), DType::F32);
    assert!(HALF.iter().all(|half| TABLE.iter().any(|row| row.name == half.name)));
}

#[test]
fn every_planted_mistake_is_reported_in_mixed_precision() {
    let Some(gpu) = half_gpu() else { return };
    for row in HALF {
        let missed = missed_mistakes(row, &gpu, DType::F16, 0, 8).unwrap();
        assert!(missed.is_empty(), "{} f16: {missed:?} went unreported", row.name);
    }
}

/// Kernels of generation, where the device has f16 or they need none.
#[test]
fn what_has_no_gradient_is_checked_and_its_planted_mistakes_are_reported() {
    for device in [Some(Device::cpu()), gpu()].into_iter().flatten() {
        for (row, dtype) in FORWARD_ONLY {
            assert_eq!(row.directions(), [Direction::Forward]);
            if *dtype == DType::F16 && half_missing(&device).is_some() {
                continue;
            }
            check(std::slice::from_ref(row), &device, *dtype);
            let missed = missed_mistakes(row, &device, *dtype, 0, 8).unwrap();
            assert!(missed.is_empty(), "{} {dtype} on {device:?}: {missed:?} went unreported", row.name);
        }
    }
}

#[test]
fn every_planted_mistake_is_reported() {
    let targets = [(Some(Device::cpu()), DType::F64), (Some(Device::cpu()), DType::F32), (gpu(), DType::F32)];
    for row in TABLE {
        for (device, dtype) in &targets {
            let Some(device) = device else { continue };
            let missed = missed_mistakes(row, device, *dtype, 0, 8).unwrap();
            assert!(missed.is_empty(), "{} {dtype} on {device:?}: {missed:?} went unreported", row.name);
        }
    }
}

#[test]
fn guard_bands_report_a_kernel_that_writes_one_element_too_far() {
    use crate::device::gpu::{Cost, Dispatch, Options, Workgroups, adapter};
    use gradus_shaders::{Access, File, Kernel};
    static STRAY: Kernel = Kernel {
        name: "stray",
        files: &[File { path: "stray.wgsl", text: include_str!("stray.wgsl") }],
        bindings: &[Access::ReadWrite],
        variants: &[],
    };
    if gpu().is_none() {
        return;
    }
    // A device of its own, so that other tests' bands are not verified here.
    let gpu = adapter::open(0, Options { guard_bands: true, ..Options::default() }).unwrap();
    let run = |count: u32| {
        let y = crate::Tensor::on_gpu(&gpu, "stray", &[10], DType::F32).unwrap();
        gpu.dispatch(&Dispatch {
            operation: "stray",
            kernel: &STRAY,
            element: DType::F32,
            constants: &[],
            parameters: bytemuck::bytes_of(&[count, 0, 0, 0]),
            buffers: &[&y],
            workgroups: Workgroups::Linear(1),
            cost: Cost::default(),
        })
        .unwrap();
        gpu.verify_guards()
    };
    run(9).unwrap();
    let error = run(10).unwrap_err().to_string();
    assert!(error.contains("wrote 1 words behind a tensor of 40 bytes"), "{error}");
}
