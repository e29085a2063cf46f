//! What the table of checks does not show: the reference vectors, logits of any size, ignored rows, targets out of range.

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

#[test]
fn the_reference_is_reproduced() {
    let vectors = Vectors::new(include_bytes!("../../../../tests/vectors/ops/cross_entropy.safetensors"));
    let (sizes, logits) = vectors.get("logits");
    let targets = vectors.get("targets").1.iter();
    let targets: Vec<u32> = targets.map(|&target| if target < 0.0 { IGNORED } else { target as u32 }).collect();
    for (device, tolerance) in devices() {
        let close = |got: &Tensor, name: &str| {
            let error = relative_error(&got.to_f64().unwrap(), vectors.get(name).1);
            assert!(error <= tolerance, "{name} on {device:?}: {error:e}");
        };
        let targets = Var::from(Tensor::new(&device, &sizes[..2], &targets).unwrap());
        let one = [1.0];
        for (reduction, loss_name, seed, d_logits) in [
            (Reduction::Mean, "loss_mean", vectors.get("dloss").1, "dlogits"),
            (Reduction::Sum, "", &one[..], "dlogits_sum"),
            (Reduction::None, "loss_rows", &[1.0; 51][..], "dlogits_sum"),
        ] {
            let tape = Tape::new();
            let leaf = tape.leaf(floats(&device, sizes, logits));
            let (loss, log_sum_exp) = cross_entropy_and_log_sum_exp(&leaf, &targets, reduction).unwrap();
            close(log_sum_exp.tensor(), "lse");
            if reduction == Reduction::Sum {
                let sum: f64 = vectors.get("loss_rows").1.iter().sum();
                assert!((loss.tensor().to_f64().unwrap()[0] - sum).abs() <= tolerance * sum);
            } else {
                close(loss.tensor(), loss_name);
            }
            let seed = floats(&device, loss.sizes(), seed);
            close(&tape.backward_from(vec![(loss, seed)]).unwrap().take(&leaf).unwrap(), d_logits);
        }
    }
}

/// Loss, log-sum-exp and the loss's gradient.
fn evaluate(logits: &Tensor, targets: &[u32], reduction: Reduction) -> [Vec<f64>; 3] {
    let tape = Tape::new();
    let leaf = tape.leaf(logits.clone());
    let sizes = &logits.sizes()[..logits.sizes().len() - 1];
    let targets = Tensor::new(&logits.device(), sizes, targets).unwrap();
    let (loss, log_sum_exp) = cross_entropy_and_log_sum_exp(&leaf, &targets.into(), reduction).unwrap();
    let values = [loss.tensor().to_f64().unwrap(), log_sum_exp.tensor().to_f64().unwrap()];
    let ones = vec![1f64; loss.tensor().elements()];
    let seed = floats(&logits.device(), loss.sizes(), &ones);
    let d_logits = tape.backward_from(vec![(loss, seed)]).unwrap().take(&leaf).unwrap();
    let [loss, log_sum_exp] = values;
    [loss, log_sum_exp, d_logits.to_f64().unwrap()]
}

#[test]
fn logits_of_any_size_are_borne() {
    for (device, tolerance) in devices() {
        let tiny = (-20f64).exp();
        for (logits, target, loss, log_sum_exp, d_logits) in [
            ([1e4, -1e4, 0.0], 1, 2e4, 1e4, [1.0, -1.0, 0.0]),
            ([1e4, -1e4, 0.0], 0, 0.0, 1e4, [0.0, 0.0, 0.0]),
            ([-1e4, -1e4, -1e4], 2, 3f64.ln(), -1e4 + 3f64.ln(), [1.0 / 3.0, 1.0 / 3.0, -2.0 / 3.0]),
            // The target has nearly everything: what is left keeps its digits.
            ([20.0, 0.0, -1e4], 0, tiny.ln_1p(), 20.0 + tiny, [-tiny / (1.0 + tiny), tiny / (1.0 + tiny), 0.0]),
        ] {
            let tensor = floats(&device, &[1, 3], &logits);
            let got = evaluate(&tensor, &[target], Reduction::Mean);
            for (got, expected) in got.iter().zip([&[loss][..], &[log_sum_exp], &d_logits]) {
                for (got, expected) in got.iter().zip(expected) {
                    let right = (got - expected).abs() <= tolerance * expected.abs();
                    assert!(right, "{logits:?} on {device:?}: {got:e} instead of {expected:e}");
                }
            }
        }
    }
}

#[test]
fn ignored_rows_count_for_nothing_and_what_is_not_finite_shows() {
    for (device, _) in devices() {
        let logits = floats(&device, &[2, 2], &[1.0, 3.0, 2.0, 0.5]);
        for reduction in [Reduction::Mean, Reduction::Sum, Reduction::None] {
            let [loss, log_sum_exp, d_logits] = evaluate(&logits, &[IGNORED; 2], reduction);
            assert!(loss.iter().chain(&d_logits).all(|&x| x == 0.0), "{device:?} {reduction:?}");
            assert!((log_sum_exp[0] - 3.126_928).abs() < 1e-5, "{device:?}: {log_sum_exp:?}");
        }
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let logits = floats(&device, &[2, 2], &[1.0, bad, 2.0, 0.5]);
            let [loss, log_sum_exp, d_logits] = evaluate(&logits, &[0, 1], Reduction::None);
            assert!(loss[0].is_nan() && log_sum_exp[0].is_nan() && d_logits[..2].iter().all(|x| x.is_nan()));
            assert!([&loss[1..], &log_sum_exp[1..], &d_logits[2..]].concat().iter().all(|x| x.is_finite()));
            let [loss, _, d_logits] = evaluate(&logits, &[IGNORED, 1], Reduction::Mean);
            assert!(loss[0].is_finite() && d_logits[..2] == [0.0; 2], "{device:?}: {loss:?} {d_logits:?}");
        }
        // No rows at all.
        let none = floats(&device, &[0, 3], &[]);
        assert_eq!(evaluate(&none, &[], Reduction::Mean)[0], [0.0]);
    }
}

#[test]
fn a_gradient_flows_from_the_log_sum_exp_alone() {
    for (device, tolerance) in devices() {
        let tape = Tape::new();
        let leaf = tape.leaf(floats(&device, &[2, 2], &[0.0, 1.0, 2.0, 2.0]));
        let targets = Tensor::new(&device, &[2], &[0, IGNORED]).unwrap();
        let (_, log_sum_exp) = cross_entropy_and_log_sum_exp(&leaf, &targets.into(), Reduction::Mean).unwrap();
        let seed = floats(&device, &[2], &[1.0, 4.0]);
        let got = tape.backward_from(vec![(log_sum_exp, seed)]).unwrap().take(&leaf).unwrap();
        let share = 1.0 / (1.0 + 1f64.exp());
        assert!(relative_error(&got.to_f64().unwrap(), &[share, 1.0 - share, 2.0, 2.0]) <= tolerance, "{device:?}");
    }
}

#[test]
fn bad_inputs_are_refused() {
    // A device of its own: another test's read-back would meet the error.
    let own = test_device::gpu().map(|_| test_device::own(crate::device::gpu::Options::default()));
    for device in std::iter::once(Device::cpu()).chain(own) {
        let logits = Var::from(floats(&device, &[2, 3], &[0.0; 6]));
        let targets = |sizes: &[usize], data: &[u32]| Var::from(Tensor::new(&device, sizes, data).unwrap());
        let message = match cross_entropy(&logits, &targets(&[2], &[2, 3]), Reduction::None) {
            Err(error) => error.to_string(),
            Ok(loss) => {
                let message = loss.tensor().to_f64().unwrap_err().to_string();
                let loss = loss.tensor().to_f64().unwrap();
                assert!(device.is_gpu() && loss[0].is_finite() && loss[1].is_nan(), "{loss:?}");
                message
            }
        };
        assert!(message.starts_with("cross_entropy: index 3 is not below 3"), "{message}");
        let refused =
            |logits: &Var, targets: &Var| cross_entropy(logits, targets, Reduction::Mean).unwrap_err().to_string();
        assert!(refused(&logits, &targets(&[3], &[0; 3])).contains("got [2, 3] and [3]"));
        assert!(refused(&floats(&device, &[2, 0], &[]).into(), &targets(&[2], &[0; 2])).contains("V over 0"));
        assert!(refused(&logits, &logits).contains("got f32 and f32"));
    }
}
