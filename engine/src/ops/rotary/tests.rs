//! What the table of checks does not do: the original authors' numbers, and refusals.

use super::*;
use crate::Device;
use crate::check::vectors::Vectors;
use crate::check::{Draw, test_device};
use crate::operation::run;
use crate::tape::Tape;

fn devices() -> Vec<Device> {
    [Device::cpu()].into_iter().chain(test_device::gpu()).collect()
}

fn distance(a: &[f64], b: &[f64]) -> f64 {
    let most = b.iter().fold(0f64, |most, x| most.max(x.abs()));
    a.iter().zip(b).fold(0f64, |far, (a, b)| far.max((a - b).abs())) / most
}

#[test]
fn the_original_authors_numbers() {
    for (name, theta, first_position) in [("rope_d32", 1e4, 0), ("rope_d64", 1e4, 17), ("rope_d80", 5e5, 3)] {
        let Some(vectors) = Vectors::open(&format!("ops/{name}.safetensors")) else { continue };
        // One head a batch entry, so that [B, H, S, D] is [B H, S, 1, D] without moving anything.
        let (sizes, x) = vectors.get("x");
        let sizes = [sizes[0] * sizes[1], sizes[2], 1, sizes[3]];
        let single = |data: &[f64]| data.iter().map(|&x| x as f32).collect::<Vec<_>>();
        for device in devices() {
            let tape = Tape::new();
            let leaf = tape.leaf(Tensor::new(&device, &sizes, &single(x)).unwrap());
            let y = rotary(&leaf, theta, first_position).unwrap();
            let dy = Tensor::new(&device, &sizes, &single(vectors.get("dy").1)).unwrap();
            assert!(distance(&y.tensor().to_f64().unwrap(), vectors.get("y").1) < 2e-6, "{name}");
            let dx = tape.backward_from(vec![(y, dy)]).unwrap().take(&leaf).unwrap();
            assert!(distance(&dx.to_f64().unwrap(), vectors.get("dx").1) < 2e-6, "{name}");
        }
    }
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
