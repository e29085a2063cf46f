//! Every device against the definition, and refusals.

use super::*;
use crate::Device;
use crate::check::{Draw, test_device};
use crate::operation::run;

fn devices() -> Vec<Device> {
    [Device::cpu()].into_iter().chain(test_device::gpu()).collect()
}

fn distance(a: &[f64], b: &[f64]) -> f64 {
    let most = b.iter().fold(0f64, |most, x| most.max(x.abs()));
    a.iter().zip(b).fold(0f64, |far, (a, b)| far.max((a - b).abs())) / most
}

#[test]
fn every_device_agrees_with_the_definition() {
    for seed in 0..60 {
        let case = cases::draw(&mut Draw::new(seed, 4000));
        let defined = &case.operation.definition(&[case.inputs[0].array.clone()])[0].value.data;
        let check = |device: &Device, dtype: DType, tolerance: f64| {
            let x = case.inputs[0].tensor(device, dtype).unwrap();
            let y = run(&*case.operation, &[&x]).unwrap()[0].to_f64().unwrap();
            assert!(distance(&y, defined) < tolerance, "{} on {device:?}", case.describe());
        };
        check(&Device::cpu(), DType::F64, 1e-15);
        devices().iter().for_each(|device| check(device, DType::F32, 3e-7));
    }
}

#[test]
fn positions_outside_the_tables_are_refused() {
    let x = Var::from(Tensor::new(&Device::cpu(), &[1, 4, 1, 2], &[1f32; 8]).unwrap());
    let tables = RotaryTables::new(1e4, 2, 0, 6).unwrap();
    assert!(rotary_with(&x, &tables, 2).is_ok());
    assert!(rotary_with(&x, &tables, 3).unwrap_err().to_string().contains("positions 3..7"));
    assert!(RotaryTables::new(1e4, 3, 0, 6).is_err());
    assert!(RotaryTables::new(0.0, 2, 0, 6).is_err());
    assert!(RotaryTables::new(1e4, 2, 1 << 24, 1).is_err());
}
