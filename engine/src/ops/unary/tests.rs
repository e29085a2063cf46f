//! Finite everywhere; refusals.

use super::{Unary, power, soft_cap};
use crate::check::test_device;
use crate::operation::run;
use crate::{Device, Tape, Tensor, Var};

/// Far from 0 on both sides nothing becomes NaN, and values agree with f64 to a few units in the last place.
#[test]
fn all_magnitudes_give_finite_values() {
    let functions = [
        Unary::Sigmoid,
        Unary::SoftCap(15.0),
        Unary::Tanh,
        Unary::Silu,
        Unary::LogSigmoid,
        Unary::Softplus,
        Unary::Gelu,
    ];
    let x: Vec<f32> = (-240..=240)
        .flat_map(|i| [1.0, -1.0].map(|sign| sign * 10f32.powf(i as f32 / 20.0)))
        .chain([0.0, 44.0, 88.0, 89.0, -87.0, -88.0, -104.0])
        .collect();
    for device in std::iter::once(Device::cpu()).chain(test_device::gpu()) {
        let input = Tensor::new(&device, &[x.len()], &x).unwrap();
        let wide = Tensor::new(&Device::cpu(), &[x.len()], &x.iter().map(|&x| x.into()).collect::<Vec<f64>>()).unwrap();
        for function in functions {
            let got = run(&function, &[&input]).unwrap()[0].to_f64().unwrap();
            let exact = run(&function, &[&wide]).unwrap()[0].to_f64().unwrap();
            for ((&x, got), exact) in x.iter().zip(got).zip(exact) {
                let tolerance = 1e-5 * exact.abs() + 1e-36;
                assert!((got - exact).abs() <= tolerance, "{function:?}({x}) = {got} on {device:?}, exactly {exact}");
            }
        }
    }
}

#[test]
fn constants_out_of_range_are_refused() {
    let x = Var::constant(Tensor::new(&Device::cpu(), &[1], &[1f32]).unwrap());
    let error = soft_cap(&x, 0.0).unwrap_err().to_string();
    assert_eq!(error, "soft_cap: the constant is 0, it must be positive and finite");
    assert!(super::scale(&x, f64::NAN).is_err());
}

#[test]
fn what_is_not_a_number_stays_so() {
    let functions = [
        Unary::Sigmoid,
        Unary::SoftCap(15.0),
        Unary::Tanh,
        Unary::Exp,
        Unary::Silu,
        Unary::LogSigmoid,
        Unary::Softplus,
        Unary::Gelu,
        Unary::Square,
        Unary::Power(1.5),
        Unary::Power(3.0),
    ];
    for device in std::iter::once(Device::cpu()).chain(test_device::gpu()) {
        let x = Tensor::new(&device, &[3], &[1f32, f32::NAN, -f32::NAN]).unwrap();
        for function in functions {
            let y = run(&function, &[&x]).unwrap()[0].to_vec::<f32>().unwrap();
            assert!(y[0].is_finite() && y[1].is_nan() && y[2].is_nan(), "{function:?}: {y:?} on {device:?}");
        }
    }
}

/// The values and derivatives that PyTorch's `pow` gives, 0 and negative bases among them.
#[test]
fn powers_of_any_base_are_those_of_pytorch() {
    let x = [-2f32, -1.0, -0.5, -0.0, 0.0, 0.5, 3.0];
    let derivative = |x: f64, c: f64| if c == 0.0 { 0.0 } else { c * x.powf(c - 1.0) };
    for device in std::iter::once(Device::cpu()).chain(test_device::gpu()) {
        for c in [-3.0, -2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 7.0, 65.0, 66.0, -65.0] {
            let tape = Tape::new();
            let leaf = tape.leaf(Tensor::new(&device, &[x.len()], &x).unwrap());
            let y = power(&leaf, c).unwrap();
            let values = y.tensor().to_f64().unwrap();
            let seed = Tensor::new(&device, &[x.len()], &[1f32; 7]).unwrap();
            let slopes = tape.backward_from(vec![(y, seed)]).unwrap().take(&leaf).unwrap().to_f64().unwrap();
            for ((x, value), slope) in x.map(f64::from).into_iter().zip(values).zip(slopes) {
                for (got, exact) in [(value, x.powf(c)), (slope, derivative(x, c))] {
                    // Beyond f32 it is infinite.
                    let exact = f64::from(exact as f32);
                    let same = got == exact || (got.is_nan() && exact.is_nan());
                    let near = (got - exact).abs() <= 2e-5 * exact.abs();
                    assert!(same || near, "{x}^{c}: {got} on {device:?}, exactly {exact}");
                }
            }
        }
    }
}
