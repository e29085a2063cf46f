//! What the table of checks does not show: the reference vectors, several blocks, ignored rows, targets out of range.

use super::*;
use crate::check::test_device;
use crate::check::vectors::{Vectors, relative_error};
use crate::{Device, Tape};

/// The devices to test, with the reference's tolerance.
fn devices() -> impl Iterator<Item = (Device, f64)> {
    std::iter::once((Device::cpu(), 2e-5)).chain(test_device::gpu().map(|gpu| (gpu, 1e-4)))
}

fn floats(device: &Device, sizes: &[usize], data: &[f64]) -> Tensor {
    Tensor::new(device, sizes, &data.iter().map(|&x| x as f32).collect::<Vec<_>>()).unwrap()
}

/// Loss and gradients.
fn evaluate(hidden: &Tensor, weight: &Tensor, targets: &Tensor, cap: Option<f64>) -> [Vec<f64>; 3] {
    let tape = Tape::new();
    let (hidden, weight) = (tape.leaf(hidden.clone()), tape.leaf(weight.clone()));
    let loss = linear_cross_entropy(&hidden, &weight, &targets.clone().into(), cap).unwrap();
    let mut gradients = tape.backward(&loss).unwrap();
    let mut gradient = |of: &Var| gradients.take(of).unwrap().to_f64().unwrap();
    [loss.tensor().to_f64().unwrap(), gradient(&hidden), gradient(&weight)]
}

#[test]
fn the_reference_is_reproduced() {
    let vectors = Vectors::new(include_bytes!("../../../../tests/vectors/ops/cross_entropy.safetensors"));
    // With the identity as weight, the logits are the hidden values.
    let (sizes, logits) = vectors.get("logits");
    let vocabulary = sizes[2];
    let identity: Vec<f64> =
        (0..vocabulary * vocabulary).map(|at| f64::from(u8::from(at % (vocabulary + 1) == 0))).collect();
    let targets = vectors.get("targets").1.iter();
    let targets: Vec<u32> = targets.map(|&target| if target < 0.0 { IGNORED } else { target as u32 }).collect();
    for (device, tolerance) in devices() {
        let weight = Var::constant(floats(&device, &[vocabulary, vocabulary], &identity));
        let targets = Tensor::new(&device, &sizes[..2], &targets).unwrap();
        let tape = Tape::new();
        let hidden = tape.leaf(floats(&device, sizes, logits));
        let loss = linear_cross_entropy(&hidden, &weight, &targets.clone().into(), None).unwrap();
        let close = |got: &Tensor, name: &str| {
            let error = relative_error(&got.to_f64().unwrap(), vectors.get(name).1);
            assert!(error <= tolerance, "{name} on {device:?}: {error:e}");
        };
        close(loss.tensor(), "loss_mean");
        close(&loss_rows(hidden.tensor(), weight.tensor(), &targets, None).unwrap(), "loss_rows");
        let seed = floats(&device, &[1], vectors.get("dloss").1);
        let mut gradients = tape.backward_from(vec![(loss, seed)]).unwrap();
        close(&gradients.take(&hidden).unwrap(), "dlogits");
    }
}

#[test]
fn several_blocks_give_what_one_gives() {
    let (rows, vocabulary, depth) = (37, 70, 20);
    let value = |at: usize| ((at * 2_654_435_761) % 2003) as f64 / 500.0 - 2.0;
    let draw = |count: usize, salt: usize| (0..count).map(|at| value(at + salt)).collect::<Vec<_>>();
    let targets: Vec<u32> = (0..rows as u32).map(|row| if row % 7 == 3 { IGNORED } else { row * 31 % 70 }).collect();
    for (device, tolerance) in devices() {
        let hidden = floats(&device, &[rows, depth], &draw(rows * depth, 1));
        let weight = floats(&device, &[vocabulary, depth], &draw(vocabulary * depth, 7));
        let targets = Tensor::new(&device, &[rows], &targets).unwrap();
        let compute = |per_block: usize| {
            let request = Request { cap: Some(15.0), gradients: true, per_block };
            let inputs = [&hidden, &weight, &targets];
            let computed = match &device {
                Device::Cpu(_) => cpu::compute(request, &inputs),
                Device::Gpu(gpu) => gpu::compute(gpu, request, &inputs),
            };
            let Computed { loss, rows, gradients } = computed.unwrap();
            let (d_hidden, d_weight) = gradients.unwrap();
            [loss, rows, d_hidden, d_weight].map(|tensor| tensor.to_f64().unwrap())
        };
        let whole = compute(rows);
        for per_block in [1, 5, 36] {
            for (got, expected) in compute(per_block).iter().zip(&whole) {
                let error = relative_error(got, expected);
                assert!(error <= tolerance, "{per_block} rows a block on {device:?}: {error:e}");
            }
        }
    }
}

#[test]
fn blocks_hold_64_mib_of_logits() {
    assert_eq!(rows_per_block(100_000, 256, DType::F32), 65_536);
    assert_eq!(rows_per_block(8192, 50_304, DType::F32), 320);
    assert_eq!(rows_per_block(8192, 50_304, DType::F64), 128);
    assert_eq!(rows_per_block(8192, 1_000_000, DType::F32), 64);
    assert_eq!((rows_per_block(10, 50_304, DType::F32), rows_per_block(0, 5, DType::F32)), (10, 1));
}

#[test]
fn ignored_rows_count_for_nothing_and_what_is_not_finite_shows() {
    for (device, _) in devices() {
        let weight = floats(&device, &[3, 2], &[1.0, 0.5, -1.0, 2.0, 0.0, 1.0]);
        let hidden = |first: f64| floats(&device, &[2, 2], &[first, 1.0, 0.5, -0.25]);
        let targets = |targets: [u32; 2]| Tensor::new(&device, &[2], &targets).unwrap();
        let [loss, d_hidden, d_weight] = evaluate(&hidden(1.0), &weight, &targets([IGNORED; 2]), Some(30.0));
        assert!(loss == [0.0] && d_hidden == [0.0; 4] && d_weight == [0.0; 6], "{device:?}");
        let [loss, d_hidden, _] = evaluate(&hidden(1.0), &weight, &targets([IGNORED, 1]), None);
        let [alone, ..] = evaluate(
            &floats(&device, &[1, 2], &[0.5, -0.25]),
            &weight,
            &Tensor::new(&device, &[1], &[1u32]).unwrap(),
            None,
        );
        assert!(loss == alone && d_hidden[..2] == [0.0; 2], "{device:?}: {loss:?} {alone:?} {d_hidden:?}");
        for bad in [f64::NAN, f64::INFINITY] {
            assert!(evaluate(&hidden(bad), &weight, &targets([0, 1]), Some(30.0)).iter().flatten().any(|x| x.is_nan()));
        }
    }
}

#[test]
fn logits_of_any_size_are_borne() {
    for (device, tolerance) in devices() {
        let weight = floats(&device, &[2, 1], &[1.0, -1.0]);
        let targets = Tensor::new(&device, &[1], &[1u32]).unwrap();
        for (x, cap, expected) in [(1e4, None, 2e4), (-1e4, None, 0.0), (1e4, Some(5.0), 10.0 + (-10f64).exp().ln_1p())]
        {
            let [loss, ..] = evaluate(&floats(&device, &[1, 1], &[x]), &weight, &targets, cap);
            assert!((loss[0] - expected).abs() <= tolerance * (1.0 + expected), "{device:?} {x} {cap:?}: {loss:?}");
        }
    }
}

#[test]
fn a_target_out_of_range_is_refused() {
    // A device of its own: another test's read-back would meet the error.
    let own = test_device::gpu().map(|_| test_device::own(crate::device::gpu::Options::default()));
    for device in std::iter::once(Device::cpu()).chain(own) {
        let (hidden, weight) = (floats(&device, &[2, 1], &[1.0, 2.0]), floats(&device, &[3, 1], &[1.0, 2.0, 3.0]));
        let targets = Tensor::new(&device, &[2], &[0u32, 3]).unwrap();
        let message = match loss_rows(&hidden, &weight, &targets, None) {
            Err(error) => error.to_string(),
            Ok(rows) => {
                let message = rows.to_f64().unwrap_err().to_string();
                let rows = rows.to_f64().unwrap();
                assert!(device.is_gpu() && rows[0].is_finite() && rows[1].is_nan(), "{device:?}: {rows:?}");
                message
            }
        };
        assert!(message.starts_with(&format!("{NAME}: index 3 is not below 3")), "{message}");
    }
}
