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
    assert!(RotaryTables::with_frequencies(vec![], 0, 6).is_err());
    assert!(RotaryTables::with_frequencies(vec![1.0, f64::NAN], 0, 6).unwrap_err().to_string().contains("NaN"));
}

/// A pair (1, 0) turns into the cosine and the sine of its own frequency's angle.
#[test]
fn any_frequencies_turn_their_pairs() {
    let frequencies = [0.5, 0.01, 3.0, 0.0, 1e-4];
    let tables = RotaryTables::with_frequencies(frequencies.to_vec(), 2, 5).unwrap();
    for device in devices() {
        let ones = [[1f32; 5], [0.0; 5]].concat().repeat(3);
        let x = Var::from(Tensor::new(&device, &[1, 3, 1, 10], &ones).unwrap());
        let y = rotary_with(&x, &tables, 4).unwrap().tensor().to_f64().unwrap();
        for (row, position) in y.chunks(10).zip([4.0, 5.0, 6.0]) {
            for (j, frequency) in frequencies.iter().enumerate() {
                let angle = position * frequency;
                let error = (row[j] - angle.cos()).abs().max((row[j + 5] - angle.sin()).abs());
                assert!(error < 1e-7, "{} at {position}: {error:e}", device.name());
            }
        }
    }
}
