//! Against the reference vectors with a loss scale, on every device; steps that are not applied; restoring.

use super::*;
use crate::DType;
use crate::check::test_device;
use crate::check::vectors::{Vectors, relative_error};

const CLIPPED: &[u8] = include_bytes!("../../../../tests/vectors/ops/adamw_clip.safetensors");

/// The devices and types to test, with the reference's tolerance.
fn targets() -> Vec<(Device, DType, f64)> {
    let mut targets = vec![(Device::cpu(), DType::F64, 5e-7), (Device::cpu(), DType::F32, 2e-5)];
    targets.extend(test_device::gpu().map(|gpu| (gpu, DType::F32, 1e-4)));
    targets
}

fn tensor(device: &Device, dtype: DType, sizes: &[usize], data: &[f64]) -> Tensor {
    match dtype {
        DType::F64 => Tensor::new(device, sizes, data).unwrap(),
        _ => Tensor::new(device, sizes, &data.iter().map(|&x| x as f32).collect::<Vec<_>>()).unwrap(),
    }
}

fn parameter(name: &str, dtype: DType, sizes: &[usize], weight_decay: f64) -> Parameter {
    Parameter { name: name.into(), spec: Spec::new(sizes, dtype).unwrap(), weight_decay }
}

/// Step `step` of a tensor that has one more dimension, of steps.
fn of_step<'a>(vectors: &'a Vectors, name: &str, step: usize) -> (&'a [usize], &'a [f64]) {
    let (sizes, data) = vectors.get(name);
    let count: usize = sizes[1..].iter().product();
    (&sizes[1..], &data[step * count..][..count])
}

#[test]
fn ten_clipped_steps_with_a_loss_scale_as_the_reference() {
    let (most, loss_scale) = (0.5, 4096.0);
    let vectors = Vectors::new(CLIPPED);
    for (device, dtype, tolerance) in targets() {
        let names = ["p", "r"];
        let parameters = names.map(|name| parameter(name, dtype, of_step(&vectors, name, 0).0, 0.1)).to_vec();
        let options = AdamW { max_norm: Some(most), ..AdamW::default() };
        let mut optimizer = Optimizer::new(&device, parameters, options).unwrap();
        optimizer.set_loss_scale(loss_scale).unwrap();
        let at = |name: &str, step: usize, scale: f64| {
            let (sizes, data) = of_step(&vectors, name, step);
            tensor(&device, dtype, sizes, &data.iter().map(|x| x * scale).collect::<Vec<_>>())
        };
        let mut weights = names.map(|name| at(name, 0, 1.0));
        let close = |got: &Tensor, expected: &[f64], what: &str| {
            let error = relative_error(&got.to_f64().unwrap(), expected);
            assert!(error <= tolerance, "{what} on {device:?} in {dtype}: {error:e}");
        };
        for step in 0..10 {
            let gradients = names.map(|name| at(&format!("grad_{name}"), step, loss_scale));
            optimizer.step(&mut weights, &gradients, 0.01).unwrap();
            for (weight, name) in weights.iter().zip(names) {
                close(weight, of_step(&vectors, name, step + 1).1, &format!("{name} after step {step}"));
            }
            let report = optimizer.read_state().unwrap().wait().unwrap();
            assert!(report.finite && report.applied == step as u64 + 1 && report.first_bad.is_none(), "{report:?}");
            let norm = vectors.get("norms").1[step];
            assert!((report.gradient_norm - norm).abs() <= tolerance * norm, "{report:?}, expected norm {norm}");
            assert!((report.clip - (most / (norm + 1e-6)).min(1.0)).abs() <= tolerance, "{report:?}");
        }
        for (moments, name) in optimizer.moments().iter().zip(names) {
            close(&moments.first, vectors.get(&format!("m_{name}")).1, &format!("m_{name}"));
            close(&moments.second, vectors.get(&format!("v_{name}")).1, &format!("v_{name}"));
        }
    }
}

/// Sizes of three tensors: one, fewer than a block of any kernel, more than two blocks of every one.
const SIZES: [usize; 3] = [1, 1000, 40_001];

fn drawn(device: &Device, dtype: DType, seed: usize) -> Vec<Tensor> {
    let value = |at: usize| ((at * 2_654_435_761 + seed * 97) % 2003) as f64 / 1001.0 - 1.0;
    SIZES.map(|count| tensor(device, dtype, &[count], &(0..count).map(value).collect::<Vec<_>>())).to_vec()
}

fn optimizer(device: &Device, dtype: DType) -> Optimizer {
    let parameters = SIZES.iter().map(|&count| parameter("w", dtype, &[count], 0.1)).collect();
    Optimizer::new(device, parameters, AdamW::default()).unwrap()
}

fn bits(tensors: &[Tensor]) -> Vec<u64> {
    tensors.iter().flat_map(|tensor| tensor.to_f64().unwrap()).map(f64::to_bits).collect()
}

#[test]
fn a_gradient_that_is_not_finite_changes_nothing_and_is_named() {
    for (device, dtype, _) in targets() {
        let mut optimizer = optimizer(&device, dtype);
        let mut weights = drawn(&device, dtype, 1);
        optimizer.step(&mut weights, &drawn(&device, dtype, 2), 0.1).unwrap();
        let before = bits(&weights);
        let huge = if dtype == DType::F64 { 1e200 } else { 1e30 };
        for (bad, place, at) in
            [(f64::NAN, 2, 40_000), (f64::INFINITY, 1, 999), (f64::NEG_INFINITY, 2, 20_000), (huge, 0, 0)]
        {
            let mut gradients = drawn(&device, dtype, 3);
            let mut data = gradients[place].to_f64().unwrap();
            data[at] = bad;
            gradients[place] = tensor(&device, dtype, &[SIZES[place]], &data);
            optimizer.step(&mut weights, &gradients, 0.1).unwrap();
            let report = optimizer.read_state().unwrap().wait().unwrap();
            assert!(!report.finite && !report.gradient_norm.is_finite(), "{bad} on {device:?}: {report:?}");
            assert_eq!((report.first_bad, report.applied, report.clip), (Some(place), 1, 1.0), "{bad} on {device:?}");
            assert_eq!(bits(&weights), before, "{bad} on {device:?}");
        }
        optimizer.step(&mut weights, &drawn(&device, dtype, 4), 0.1).unwrap();
        let report = optimizer.read_state().unwrap().wait().unwrap();
        assert_eq!((report.finite, report.first_bad, report.step, report.applied), (true, None, 6, 2));
        let squares: f64 =
            drawn(&device, dtype, 4).iter().flat_map(|tensor| tensor.to_f64().unwrap()).map(|x| x * x).sum();
        assert!((report.gradient_norm - squares.sqrt()).abs() < 1e-5 * squares.sqrt(), "{report:?}");
    }
}

#[test]
fn restored_training_goes_on_with_the_same_bits() {
    for (device, dtype, _) in targets() {
        let run = |optimizer: &mut Optimizer, weights: &mut [Tensor], steps: std::ops::Range<usize>| {
            for step in steps {
                let mut gradients = drawn(&device, dtype, step);
                if step == 3 {
                    let mut data = gradients[0].to_f64().unwrap();
                    data[0] = f64::NAN;
                    gradients[0] = tensor(&device, dtype, &[1], &data);
                }
                optimizer.step(weights, &gradients, 0.01).unwrap();
            }
        };
        let (mut whole, mut expected) = (optimizer(&device, dtype), drawn(&device, dtype, 1));
        run(&mut whole, &mut expected, 0..10);
        let (mut first, mut weights) = (optimizer(&device, dtype), drawn(&device, dtype, 1));
        run(&mut first, &mut weights, 0..6);
        let applied = first.read_state().unwrap().wait().unwrap().applied;
        assert_eq!(applied, 5);
        let mut second = optimizer(&device, dtype);
        second.restore(first.steps(), applied, first.moments().to_vec()).unwrap();
        run(&mut second, &mut weights, 6..10);
        assert_eq!(bits(&weights), bits(&expected), "{device:?}");
        let report = |optimizer: &Optimizer| optimizer.read_state().unwrap().wait().unwrap();
        assert_eq!(report(&second), report(&whole), "{device:?}");
    }
}

#[test]
fn bias_corrections_hold_for_betas_near_one() {
    // With gradients of 1 and no clipping, m / (1 − β₁ᵗ) = v / (1 − β₂ᵗ) = 1 at each step: the weight falls by η each time.
    for (device, dtype, tolerance) in targets() {
        for (beta1, beta2) in [(0.9, 0.9999), (0.0, 0.0), (0.999, 0.95)] {
            let options = AdamW { beta1, beta2, max_norm: None, ..AdamW::default() };
            let mut optimizer = Optimizer::new(&device, vec![parameter("w", dtype, &[1], 0.0)], options).unwrap();
            let mut weights = [tensor(&device, dtype, &[1], &[0.0])];
            for _ in 0..30 {
                optimizer.step(&mut weights, &[tensor(&device, dtype, &[1], &[1.0])], 0.5).unwrap();
            }
            let weight = weights[0].to_f64().unwrap()[0];
            assert!((weight / -15.0 - 1.0).abs() < tolerance, "{device:?} {dtype} {beta1} {beta2}: {weight}");
        }
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let device = Device::cpu();
    let mut optimizer = optimizer(&device, DType::F32);
    let mut weights = drawn(&device, DType::F32, 1);
    let gradients = drawn(&device, DType::F32, 2);
    let mut refuse = |weights: &mut [Tensor], gradients: &[Tensor], rate: f64, part: &str| {
        let message = optimizer.step(weights, gradients, rate).unwrap_err().to_string();
        assert!(message.contains(part), "{message}");
    };
    refuse(&mut weights, &gradients, f64::NAN, "learning rate of NaN");
    refuse(&mut weights[..2], &gradients, 0.1, "2 weights and 3 gradients were given for 3");
    refuse(&mut weights, &drawn(&device, DType::F64, 2), 0.1, "the gradient of w is Tensor(f64 [1] on cpu)");
    let held = weights[1].clone();
    refuse(&mut weights, &gradients, 0.1, "still in use");
    drop(held);
    assert!(optimizer.set_loss_scale(0.0).is_err());
    assert!(optimizer.restore(3, 4, Vec::new()).is_err());
    let bad = |options: AdamW| Optimizer::new(&device, Vec::new(), options).is_err();
    assert!(bad(AdamW { beta1: 1.0, ..AdamW::default() }) && bad(AdamW { max_norm: Some(0.0), ..AdamW::default() }));
}
