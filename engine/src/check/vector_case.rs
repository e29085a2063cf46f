//! An operation against reference vectors, forward and backward, on every device and in every type.

use super::test_device;
use super::vectors::{Vectors, relative_error};
use crate::{DType, Device, Result, Tape, Tensor, Var};

/// Runs `build` on the named inputs with the named upstream gradients of its outputs; compares outputs and input gradients
/// with the expected ones. Expected values are rounded to f32, so f64 agrees to that; f32 on the CPU must to 2e-5 of the
/// largest, on a GPU to 1e-4.
///
/// # Panics
/// If they do not agree, or a name is missing.
pub fn expect(
    file: &[u8],
    inputs: &[&str],
    build: impl Fn(&[Var]) -> Result<Vec<Var>>,
    outputs: &[(&str, &str)],
    gradients: &[&str],
) {
    let vectors = Vectors::new(file);
    let cpu = Device::cpu();
    let targets = [(Some(cpu.clone()), DType::F64, 1.2e-7), (Some(cpu), DType::F32, 2e-5)];
    for (device, dtype, tolerance) in targets.into_iter().chain([(test_device::gpu(), DType::F32, 1e-4)]) {
        let Some(device) = device else { continue };
        let tensor = |name: &str| {
            let (sizes, data) = vectors.get(name);
            match dtype {
                DType::F64 => Tensor::new(&device, sizes, data),
                _ => Tensor::new(&device, sizes, &data.iter().map(|&x| x as f32).collect::<Vec<_>>()),
            }
            .unwrap()
        };
        let check = |name: &str, got: &Tensor| {
            let error = relative_error(&got.to_f64().unwrap(), vectors.get(name).1);
            assert!(error <= tolerance, "{name} on {device:?} in {dtype}: error {error:e}, allowed {tolerance:e}");
        };
        let tape = Tape::new();
        let leaves: Vec<Var> = inputs.iter().map(|name| tape.leaf(tensor(name))).collect();
        let results = build(&leaves).unwrap();
        assert_eq!(results.len(), outputs.len());
        for (result, (name, _)) in results.iter().zip(outputs) {
            check(name, result.tensor());
        }
        let seeds = results.into_iter().zip(outputs).map(|(result, (_, upstream))| (result, tensor(upstream)));
        let mut found = tape.backward_from(seeds.collect()).unwrap();
        for (leaf, name) in leaves.iter().zip(gradients) {
            check(name, &found.take(leaf).unwrap());
        }
    }
}
