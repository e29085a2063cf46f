//! Finite everywhere; refusals.

use super::{Unary, soft_cap};
use crate::check::test_device;
use crate::operation::run;
use crate::{Device, Tensor, Var};

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
