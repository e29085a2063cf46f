//! What the table of checks does not draw.

use super::{multi_head_norm, multi_head_norm_gated, rms_norm};
use crate::check::test_device;
use crate::ops::arithmetic::multiply;
use crate::{Device, Tape, Tensor, Var};

/// Rows longer than a workgroup keeps in one pack an invocation, by ones and by fours, and more tokens than blocks.
#[test]
fn long_rows_and_many_rows_agree_on_both_devices() {
    let Some(gpu) = test_device::gpu() else { return };
    for (tokens, heads, columns) in [(3, 1, 4100), (2, 2, 1031), (5, 1, 2048), (8203, 3, 4), (0, 2, 8)] {
        let run = |device: &Device| {
            let tape = Tape::new();
            let width = heads * columns;
            let value = |scale: f32, sizes: &[usize]| {
                let count: usize = sizes.iter().product();
                let data: Vec<f32> = (0..count).map(|i| scale * ((i * 37 % 101) as f32 - 47.0) / 50.0).collect();
                tape.leaf(Tensor::new(device, sizes, &data).unwrap())
            };
            let x = value(1.0, &[tokens, heads, columns]);
            let (weight, gate) = (value(0.5, &[width]), value(2.0, &[tokens, width]));
            let y = multi_head_norm_gated(&x, &weight, &gate, 1e-6).unwrap();
            let upstream = value(1.0, &[tokens, width]);
            let mut gradients = tape.backward_from(vec![(y.clone(), upstream.into_tensor())]).unwrap();
            let found = [&x, &weight, &gate].map(|leaf| gradients.take(leaf).unwrap().to_f64().unwrap());
            [vec![y.tensor().to_f64().unwrap()], found.to_vec()].concat()
        };
        for (cpu, gpu) in run(&Device::cpu()).iter().zip(run(&gpu)) {
            let most = cpu.iter().fold(1e-3, |most: f64, x| most.max(x.abs()));
            for (a, b) in cpu.iter().zip(&gpu) {
                assert!((a - b).abs() < 2e-5 * most, "{tokens} {heads} {columns}: {a} on the CPU, {b} on the GPU");
            }
            assert_eq!(cpu.len(), gpu.len());
        }
    }
}

#[test]
fn what_does_not_fit_is_refused_with_all_shapes() {
    let ones = |sizes: &[usize]| {
        Var::constant(Tensor::new(&Device::cpu(), sizes, &vec![1f32; sizes.iter().product()]).unwrap())
    };
    let error = rms_norm(&ones(&[2, 6]), &ones(&[5]), 1e-6).unwrap_err().to_string();
    assert_eq!(error, "rms_norm: the weight must be [6]; the inputs are [[2, 6], [5]]");
    let error = multi_head_norm(&ones(&[6]), &ones(&[6]), 1e-6).unwrap_err().to_string();
    assert!(error.contains("[.., heads, D]"), "{error}");
    let (x, weight) = (ones(&[2, 3, 2]), ones(&[6]));
    assert!(multi_head_norm_gated(&x, &weight, &ones(&[2, 3, 2]), 1e-6).unwrap_err().to_string().contains("[2, 6]"));
    assert!(multi_head_norm(&x, &weight, -1.0).unwrap_err().to_string().contains("epsilon"));
    assert!(multiply(&multi_head_norm(&x, &weight, 1e-6).unwrap(), &ones(&[2, 6])).is_ok());
}
