//! What a device that times its dispatches tells of each.

mod device;

use gradus_engine::device::gpu::Options;
use gradus_engine::device::gpu::plan::Rates;
use gradus_engine::ops::matmul::{matmul, matmul_in_tiles};
use gradus_engine::{Device, Tensor};
use gradus_shaders::matmul::TILES;

fn matrix(device: &Device, n: usize) -> Tensor {
    let values: Vec<f32> = (0..n * n).map(|at| (at * 7919 % 1021) as f32 / 1021.0 - 0.5).collect();
    Tensor::new(device, &[n, n], &values).unwrap()
}

#[test]
fn parts_of_a_dispatch_tell_what_they_are_part_of() {
    // So slow that 2 · 128³ operations are planned to take 0.42 s, more than four dispatches may.
    let rates = Some(Rates { flops: 1e7, bytes: 1e9 });
    let Some(device) = device::open(Options { time_dispatches: true, rates, ..Options::default() }) else { return };
    let Device::Gpu(gpu) = &device else { unreachable!("a GPU was opened") };
    let a = matrix(&device, 128).into();
    gpu.take_timings().unwrap();
    matmul(&a, &a).unwrap();
    let timings = gpu.take_timings().unwrap();
    assert!(timings.len() >= 5, "{timings:?}");
    assert_eq!(timings.iter().filter(|timing| timing.first_workgroup == 0).count(), 1);
    assert!(timings.is_sorted_by_key(|timing| timing.first_workgroup));
    for timing in &timings {
        assert_eq!((timing.operation, timing.kernel, timing.element), ("matmul", "matmul/tiled_vvv_fff", "f32"));
        assert!(timing.constants.contains(&("A_TRANSPOSED", 0)), "{timing:?}");
        assert!(timing.seconds > 0.0 && timing.planned > 0.0, "{timing:?}");
    }
    let [flops, bytes] = [
        timings.iter().map(|timing| timing.cost.flops).sum::<f64>(),
        timings.iter().map(|timing| timing.cost.bytes).sum::<f64>(),
    ];
    assert!((flops / 2f64.powi(22) - 1.0).abs() < 1e-9 && (bytes / (12.0 * 16_384.0) - 1.0).abs() < 1e-9);
    assert!(gpu.take_timings().unwrap().is_empty(), "they were taken");
}

#[test]
fn products_in_any_tiles_are_the_same_and_others_are_refused() {
    let Some(device) = device::open(Options::default()) else { return };
    let a = matrix(&device, 40);
    let expected: Vec<f32> = matmul(&a.clone().into(), &a.clone().into()).unwrap().tensor().to_vec().unwrap();
    for tile in TILES {
        // Every tile adds along the depth in the same order.
        assert_eq!(matmul_in_tiles(&a, &a, tile).unwrap().to_vec::<f32>().unwrap(), expected, "{tile:?}");
    }
    let error = matmul_in_tiles(&a, &a, [48, 48, 8, 1, 1]).unwrap_err().to_string();
    assert!(error.contains("tiles of [48, 48, 8, 1, 1]"), "{error}");
    assert!(matmul_in_tiles(&a, &matrix(&device, 39), TILES[2]).is_err());
    let on_cpu = matrix(&Device::cpu(), 40);
    assert!(matmul_in_tiles(&on_cpu, &on_cpu, TILES[2]).unwrap_err().to_string().contains("on a GPU"));
}
