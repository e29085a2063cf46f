//! The table's checks, each row on each target. `GRADUS_CASES` sets the number of random cases a row.

use super::test_device::gpu;
use super::{TABLE, check_row, missed_mistakes};
use crate::{DType, Device};

fn cases() -> usize {
    std::env::var("GRADUS_CASES").ok().and_then(|value| value.parse().ok()).unwrap_or(12)
}

fn check(device: &Device, dtype: DType) {
    let verdicts: Vec<_> = TABLE.iter().map(|row| check_row(row, device, dtype, 0, cases())).collect();
    let mut failed = Vec::new();
    for verdict in verdicts {
        println!("{:24} {} {:.3?}", verdict.name, verdict.dtype, verdict.measured);
        failed.extend(verdict.failure.map(|(seed, problem)| format!("{} case {seed}: {problem}", verdict.name)));
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn every_operation_on_the_cpu_in_f64_with_finite_differences() {
    check(&Device::cpu(), DType::F64);
}

#[test]
fn every_operation_on_the_cpu_in_f32() {
    check(&Device::cpu(), DType::F32);
}

#[test]
fn every_operation_on_the_gpu() {
    if let Some(gpu) = gpu() {
        check(&gpu, DType::F32);
    }
}

#[test]
fn every_planted_mistake_is_reported() {
    for row in TABLE {
        for dtype in [DType::F64, DType::F32] {
            let missed = missed_mistakes(row, &Device::cpu(), dtype, 0, 8).unwrap();
            assert!(missed.is_empty(), "{} {dtype}: {missed:?} went unreported", row.name);
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
