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
        optimizer.set_loss_scaling(LossScaling::Constant(loss_scale)).unwrap();
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
        for (place, name) in names.into_iter().enumerate() {
            let moments = optimizer.moments(place).unwrap();
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

/// With a dynamic loss scale, which the gradients drawn do not come with: it only shrinks them.
fn optimizer(device: &Device, dtype: DType) -> Optimizer {
    let parameters = SIZES.iter().map(|&count| parameter("w", dtype, &[count], 0.1)).collect();
    let mut optimizer = Optimizer::new(device, parameters, AdamW::default()).unwrap();
    optimizer.set_loss_scaling(LossScaling::Dynamic { initial: 1.0, interval: 1000 }).unwrap();
    optimizer
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
        let standing = first.read_state().unwrap().wait().unwrap().standing();
        assert_eq!((standing.steps, standing.applied), (first.steps(), 5));
        // As a checkpoint does, by way of the host.
        let host = |tensor: &Tensor| tensor.to_device(&Device::cpu()).unwrap();
        let moments = (0..SIZES.len()).map(|place| {
            let Moments { first, second } = first.moments(place).unwrap();
            Moments { first: host(&first), second: host(&second) }
        });
        let moments = moments.collect();
        let mut second = optimizer(&device, dtype);
        second.restore(standing, moments).unwrap();
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
    for scaling in [
        LossScaling::Constant(0.0),
        LossScaling::Constant(f64::INFINITY),
        LossScaling::Dynamic { initial: 0.5, interval: 1 },
        LossScaling::Dynamic { initial: 2f64.powi(25), interval: 1 },
        LossScaling::Dynamic { initial: 2.0, interval: 0 },
    ] {
        assert!(optimizer.set_loss_scaling(scaling).is_err(), "{scaling:?}");
    }
    assert!(optimizer.restore(Standing { steps: 3, applied: 4, ..Standing::default() }, Vec::new()).is_err());
    assert!(optimizer.restore(Standing { loss_scale: 0.5, ..Standing::default() }, Vec::new()).is_err());
    assert!(optimizer.moments(3).is_err());
    let bad = |options: AdamW| Optimizer::new(&device, Vec::new(), options).is_err();
    assert!(bad(AdamW { beta1: 1.0, ..AdamW::default() }) && bad(AdamW { max_norm: Some(0.0), ..AdamW::default() }));
}

/// Gradients of `scale` times a loss.
fn scaled(device: &Device, dtype: DType, seed: usize, scale: f64) -> Vec<Tensor> {
    let times = |gradient: Tensor| {
        let data: Vec<f64> = gradient.to_f64().unwrap().into_iter().map(|x| x * scale).collect();
        tensor(device, dtype, gradient.sizes(), &data)
    };
    drawn(device, dtype, seed).into_iter().map(times).collect()
}

#[test]
fn a_dynamic_loss_scale_halves_after_a_bad_step_and_doubles_after_good_ones() {
    for (device, dtype, _) in targets() {
        let (mut scaled_one, mut plain) = (optimizer(&device, dtype), optimizer(&device, dtype));
        let dynamic = LossScaling::Dynamic { initial: 8.0, interval: 3 };
        scaled_one.set_loss_scaling(dynamic).unwrap();
        plain.set_loss_scaling(LossScaling::Constant(1.0)).unwrap();
        let (mut weights, mut expected) = (drawn(&device, dtype, 1), drawn(&device, dtype, 1));
        let mut scales = Vec::new();
        for step in 0..14 {
            // From the tensor on the device, as a backward starts.
            let scale = scaled_one.loss_scale().unwrap();
            assert_eq!((scale.sizes(), scale.dtype()), ([1].as_slice(), dtype));
            let scale = scale.to_f64().unwrap()[0];
            scales.push(scale);
            let mut gradients = scaled(&device, dtype, step, scale);
            let bad = [3, 4, 5, 6, 7].contains(&step);
            if bad {
                let mut data = gradients[2].to_f64().unwrap();
                data[30_000] = f64::INFINITY;
                gradients[2] = tensor(&device, dtype, &[SIZES[2]], &data);
            } else {
                plain.step(&mut expected, &drawn(&device, dtype, step), 0.01).unwrap();
            }
            let before = bits(&weights);
            scaled_one.step(&mut weights, &gradients, 0.01).unwrap();
            let report = scaled_one.read_state().unwrap().wait().unwrap();
            assert_eq!((report.finite, report.loss_scale), (!bad, scale), "{device:?} step {step}");
            assert!(!bad || (bits(&weights) == before && report.first_bad == Some(2)), "{report:?}");
            // A power of two leaves no rounding: the same bits as without a scale and without the bad steps.
            assert_eq!(bits(&weights), bits(&expected), "{device:?} step {step}");
        }
        // Three good steps double; five bad ones halve, down to 1 and no further; the bad ones begin the count anew.
        let as_said = [8.0, 8.0, 8.0, 16.0, 8.0, 4.0, 2.0, 1.0, 1.0, 1.0, 1.0, 2.0, 2.0, 2.0];
        assert_eq!(scales, as_said, "{device:?}");
        let report = scaled_one.read_state().unwrap().wait().unwrap();
        assert_eq!((report.skipped(), report.next_loss_scale, report.in_a_row), (5, 4.0, 0), "{device:?}");
        // The other end.
        scaled_one.set_loss_scaling(LossScaling::Dynamic { initial: MOST_SCALE, interval: 1 }).unwrap();
        scaled_one.step(&mut weights, &scaled(&device, dtype, 20, MOST_SCALE), 0.01).unwrap();
        assert_eq!(scaled_one.loss_scale().unwrap().to_f64().unwrap(), [MOST_SCALE], "{device:?}");
    }
}

#[test]
fn a_loss_scale_that_is_still_held_keeps_its_value() {
    for (device, dtype, _) in targets() {
        let mut optimizer = optimizer(&device, dtype);
        optimizer.set_loss_scaling(LossScaling::Dynamic { initial: 4.0, interval: 1 }).unwrap();
        let held = optimizer.loss_scale().unwrap();
        optimizer.step(&mut drawn(&device, dtype, 1), &drawn(&device, dtype, 2), 0.01).unwrap();
        assert_eq!(held.to_f64().unwrap(), [4.0], "{device:?}");
        assert_eq!(optimizer.loss_scale().unwrap().to_f64().unwrap(), [8.0], "{device:?}");
    }
}

#[test]
fn a_restored_loss_scale_goes_on_with_the_same_bits() {
    for (device, dtype, _) in targets() {
        let dynamic = LossScaling::Dynamic { initial: 1024.0, interval: 2 };
        let run = |optimizer: &mut Optimizer, weights: &mut [Tensor], steps: std::ops::Range<usize>| {
            for step in steps {
                let scale = optimizer.loss_scale().unwrap().to_f64().unwrap()[0];
                let mut gradients = scaled(&device, dtype, step, scale);
                if step == 1 {
                    gradients[0] = tensor(&device, dtype, &[1], &[f64::NAN]);
                }
                optimizer.step(weights, &gradients, 0.01).unwrap();
            }
        };
        let start = || {
            let mut optimizer = optimizer(&device, dtype);
            optimizer.set_loss_scaling(dynamic).unwrap();
            (optimizer, drawn(&device, dtype, 1))
        };
        let (mut whole, mut expected) = start();
        run(&mut whole, &mut expected, 0..9);
        let (mut first, mut weights) = start();
        run(&mut first, &mut weights, 0..5);
        // In the middle of the interval.
        let standing = first.read_state().unwrap().wait().unwrap().standing();
        assert_eq!((standing.loss_scale, standing.in_a_row), (1024.0, 1), "{device:?}");
        let (mut second, _) = start();
        second.restore(standing, (0..SIZES.len()).map(|place| first.moments(place).unwrap()).collect()).unwrap();
        run(&mut second, &mut weights, 5..9);
        assert_eq!(bits(&weights), bits(&expected), "{device:?}");
        let report = |optimizer: &Optimizer| optimizer.read_state().unwrap().wait().unwrap();
        assert_eq!(report(&second), report(&whole), "{device:?}");
    }
}

/// Large and small tensors, more of the small than any kernel takes, some of no whole block.
#[test]
fn many_tensors_that_share_dispatches() {
    const COUNTS: [usize; 11] = [3, 8192, 1 << 20, 8193, 1, 1024, 1025, (1 << 20) + 7, 40_001, 5, 16_384];
    let value = |at: usize, seed: usize| ((at * 2_654_435_761 + seed * 97) % 2003) as f64 / 1001.0 - 1.0;
    let all = |device: &Device, seed: usize| -> Vec<Tensor> {
        let of = |(place, &count): (usize, &usize)| {
            let data: Vec<f64> = (0..count).map(|at| value(at, seed + 31 * place)).collect();
            tensor(device, DType::F32, &[count], &data)
        };
        COUNTS.iter().enumerate().map(of).collect()
    };
    let new = |device: &Device| {
        let decay = |place: usize| if place.is_multiple_of(2) { 0.1 } else { 0.0 };
        let parameter = |(place, &count): (usize, &usize)| parameter("w", DType::F32, &[count], decay(place));
        let parameters = COUNTS.iter().enumerate().map(parameter).collect();
        Optimizer::new(device, parameters, AdamW::default()).unwrap()
    };
    let Some(gpu) = test_device::gpu() else { return };
    let (mut here, mut there) = (new(&Device::cpu()), new(&gpu));
    let (mut expected, mut weights) = (all(&Device::cpu(), 1), all(&gpu, 1));
    for step in 2..4 {
        here.step(&mut expected, &all(&Device::cpu(), step), 0.1).unwrap();
        there.step(&mut weights, &all(&gpu, step), 0.1).unwrap();
    }
    for (place, (weight, expected)) in weights.iter().zip(&expected).enumerate() {
        let error = relative_error(&weight.to_f64().unwrap(), &expected.to_f64().unwrap());
        assert!(error < 1e-5, "tensor {place}: {error:e}");
        let (got, kept) = (there.moments(place).unwrap(), here.moments(place).unwrap());
        for (got, kept) in [(got.first, kept.first), (got.second, kept.second)] {
            let error = relative_error(&got.to_f64().unwrap(), &kept.to_f64().unwrap());
            assert!(error < 1e-5, "a moment of tensor {place}: {error:e}");
        }
    }
    // The last element of each is seen, and found in its own tensor.
    for (place, &count) in COUNTS.iter().enumerate() {
        let mut gradients = all(&gpu, 5);
        let mut data = gradients[place].to_f64().unwrap();
        data[count - 1] = f64::NAN;
        gradients[place] = tensor(&gpu, DType::F32, &[count], &data);
        there.step(&mut weights, &gradients, 0.1).unwrap();
        let report = there.read_state().unwrap().wait().unwrap();
        assert_eq!((report.finite, report.first_bad), (false, Some(place)));
    }
}
