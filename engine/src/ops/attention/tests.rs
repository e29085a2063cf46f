//! What the table of checks does not do: the original authors' numbers, long sequences, options, steps over a cache.

use super::*;
use crate::check::vectors::Vectors;
use crate::check::{Case, Draw, Input, test_device};
use crate::operation::{run, run_backward};
use crate::{DType, Device};

/// Forward and backward outputs (out, lse, dq, dk, dv) of a case on a device.
fn compute(case: &Case, d_output: &Input, device: &Device, dtype: DType) -> Vec<Vec<f64>> {
    let inputs: Vec<Tensor> = case.inputs.iter().map(|input| input.tensor(device, dtype).unwrap()).collect();
    let outputs = run(&*case.operation, &inputs.iter().collect::<Vec<_>>()).unwrap();
    let specs: Vec<Spec> = inputs.iter().map(Tensor::spec).collect();
    let context = Context {
        operation: "attention",
        input_specs: &specs,
        inputs: &inputs.iter().cloned().map(Some).collect::<Vec<_>>(),
        outputs: &outputs.iter().cloned().map(Some).collect::<Vec<_>>(),
        d_outputs: &[Some(d_output.tensor(device, dtype).unwrap())],
        needs: &[true; 3],
    };
    let gradients = run_backward(&*case.operation, &context).unwrap();
    outputs.into_iter().chain(gradients.into_iter().flatten()).map(|tensor| tensor.to_f64().unwrap()).collect()
}

/// max |a − b| / max |b|
fn distance(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    assert!(a.iter().all(|x| x.is_finite()), "not finite");
    let most = b.iter().fold(0f64, |most, x| most.max(x.abs()));
    a.iter().zip(b).fold(0f64, |far, (a, b)| far.max((a - b).abs())) / most.max(1e-30)
}

/// [B, H, S, D] as [B, S, H, D] and back.
fn swapped(sizes: &[usize], data: &[f64]) -> Input {
    let &[batch, heads, rows, width] = sizes else { panic!("four dimensions") };
    let mut swapped = Vec::new();
    for b in 0..batch {
        for row in 0..rows {
            for head in 0..heads {
                swapped.extend(&data[((b * heads + head) * rows + row) * width..][..width]);
            }
        }
    }
    Input::float(&[batch, rows, heads, width], swapped)
}

fn case(
    batch: usize,
    queries: usize,
    keys: usize,
    heads: [usize; 2],
    head_dim: usize,
    deviation: f64,
) -> (Case, Input) {
    let mut draw = Draw::new((queries * 7 + keys * 3 + head_dim) as u64, usize::MAX);
    let query = draw.normals(&[batch, queries, heads[0], head_dim], 0.0, deviation);
    let key = draw.normals(&[batch, keys, heads[1], head_dim], 0.0, deviation);
    let value = draw.normals(&[batch, keys, heads[1], head_dim], 0.0, 1.0);
    let d_output = draw.normals(&[batch, queries, heads[0], head_dim], 0.0, 1.0);
    (Case::new(Attention::default(), vec![query, key, value]), d_output)
}

fn devices() -> Vec<(Device, f64)> {
    let gpu = test_device::gpu().map(|gpu| (gpu, 1e-4));
    [(Device::cpu(), 2e-5)].into_iter().chain(gpu).collect()
}

#[test]
fn forward_and_gradients_are_the_definitions() {
    for seed in 0..25 {
        let mut draw = Draw::new(seed, 120);
        let case = cases::draw(&mut draw);
        let d_output = draw.normals(&case.inputs[0].array.sizes, 0.0, 1.0);
        let found = compute(&case, &d_output, &Device::cpu(), DType::F64);
        let mut arrays: Vec<Array> = case.inputs.iter().map(|input| input.array.clone()).collect();
        let defined = &case.operation.definition(&arrays)[0];
        assert!(distance(&found[0], &defined.value.data) < 1e-11, "{}", case.describe());
        for place in 0..3 {
            let mut exact = Vec::new();
            for at in 0..arrays[place].data.len() {
                let x = arrays[place].data[at];
                let mut loss = |x: f64| -> f64 {
                    arrays[place].data[at] = x;
                    let value = &case.operation.definition(&arrays)[0].value.data;
                    value.iter().zip(&d_output.array.data).map(|(y, dy)| y * dy).sum()
                };
                let step = 1e-4;
                let slope =
                    |step: f64, loss: &mut dyn FnMut(f64) -> f64| (loss(x + step) - loss(x - step)) / (2.0 * step);
                exact.push((4.0 * slope(step, &mut loss) - slope(2.0 * step, &mut loss)) / 3.0);
                loss(x);
            }
            // A softmax over one key has gradient 0, where a relative distance says nothing.
            if exact.iter().any(|x| x.abs() > 1e-6) {
                let far = distance(&found[2 + place], &exact);
                assert!(far < 1e-6, "{far:e} for input {place} of {}", case.describe());
            }
        }
    }
}

#[test]
fn f32_agrees_with_f64_on_every_device() {
    let tests = [
        case(2, 1, 1, [1, 1], 1, 1.0),
        case(1, 65, 65, [4, 2], 32, 1.0),
        case(2, 33, 70, [2, 1], 31, 1.0),
        case(1, 100, 100, [2, 2], 64, 1.0),
        case(1, 97, 130, [3, 1], 65, 1.0),
        case(1, 70, 70, [2, 2], 128, 1.0),
        case(1, 40, 75, [2, 1], 180, 1.0),
        case(1, 66, 66, [1, 1], 256, 1.0),
        case(1, 35, 35, [2, 1], 250, 1.0),
        // Logits up to about ±80.
        case(1, 200, 200, [2, 1], 64, 4.5),
        case(1, 1025, 1025, [1, 1], 16, 1.0),
        // Single steps over a cache, short and long.
        case(2, 1, 13, [4, 2], 32, 1.0),
        case(1, 1, 1025, [4, 2], 80, 1.0),
        case(1, 1, 5000, [2, 1], 128, 1.0),
        case(1, 1, 300, [3, 1], 7, 1.0),
        case(1, 1, 64, [2, 2], 256, 1.0),
    ];
    for (device, tolerance) in devices() {
        for (case, d_output) in &tests {
            let exact = compute(case, d_output, &Device::cpu(), DType::F64);
            let found = compute(case, d_output, &device, DType::F32);
            for (place, (found, exact)) in found.iter().zip(&exact).enumerate() {
                // One key alone: gradients of query and key are 0, only rounding is left.
                if exact.iter().any(|x| x.abs() > 1e-9) {
                    let far = distance(found, exact);
                    assert!(far < tolerance, "{far:e} at {place} of {} on {device:?}", case.describe());
                }
            }
        }
    }
}

#[test]
fn the_original_authors_numbers() {
    for name in ["gqa_d32_s128", "gqa_d64_s128", "gqa_d80_s257", "mha_d32_s33", "mha_d80_s33"] {
        let Some(vectors) = Vectors::open(&format!("attention/{name}.safetensors")) else { continue };
        let input = |name: &str| {
            let (sizes, data) = vectors.get(name);
            swapped(sizes, data)
        };
        let case = Case::new(Attention::default(), vec![input("q"), input("k"), input("v")]);
        for (device, tolerance) in devices() {
            let found = compute(&case, &input("dout"), &device, DType::F32);
            for (found, name) in found.iter().zip(["out", "lse", "dq", "dk", "dv"]) {
                let exact = if name == "lse" { vectors.get(name).1.to_vec() } else { input(name).array.data };
                assert!(distance(found, &exact) < tolerance, "{name}");
            }
        }
    }
}

#[test]
fn unused_rows_are_not_read_and_steps_equal_the_whole() {
    let (whole, d_output) = case(2, 37, 37, [4, 2], 24, 1.0);
    for (device, tolerance) in devices() {
        let full = compute(&whole, &d_output, &device, DType::F32);
        for time in [0, 1, 17, 36] {
            // The same keys in a cache that holds not-a-number where nothing was written yet.
            let mut inputs = whole.inputs.clone();
            let mut query = Vec::new();
            let mut expected = Vec::new();
            for b in 0..2 {
                for place in [1, 2] {
                    let first = inputs[place].array.offset([b, time, 0, 0]) + 2 * 24;
                    inputs[place].array.data[first..(b + 1) * 37 * 2 * 24].fill(f64::NAN);
                }
                let row = (b * 37 + time) * 4 * 24;
                query.extend_from_slice(&whole.inputs[0].array.data[row..row + 4 * 24]);
                expected.extend_from_slice(&full[0][row..row + 4 * 24]);
            }
            inputs[0] = Input::float(&[2, 1, 4, 24], query);
            let options = AttentionOptions { key_length: Some(time + 1) };
            let step = Case::new(Attention { options }, inputs);
            let found = compute(&step, &Input::float(&[2, 1, 4, 24], vec![1.0; 2 * 4 * 24]), &device, DType::F32);
            assert!(distance(&found[0], &expected) < tolerance);
            for d_key in &found[3..] {
                let of_row = |row: usize| &d_key[row * 2 * 24..][..2 * 24];
                assert!((time + 1..37).all(|row| of_row(row).iter().all(|&x| x == 0.0)), "unused rows have gradient 0");
            }
        }
    }
}

#[test]
fn sizes_that_do_not_fit_are_refused() {
    let tensor =
        |sizes: &[usize]| Var::from(Tensor::new(&Device::cpu(), sizes, &vec![0f32; sizes.iter().product()]).unwrap());
    let message =
        |query: &[usize], key: &[usize]| attention(&tensor(query), &tensor(key), &tensor(key)).unwrap_err().to_string();
    assert!(message(&[1, 4, 3, 8], &[1, 4, 2, 8]).contains("multiple"));
    assert!(message(&[1, 4, 2, 8], &[1, 3, 2, 8]).contains("fewer"));
    assert!(message(&[1, 4, 2, 257], &[1, 4, 2, 257]).contains("256"));
    assert!(message(&[1, 4, 2, 8], &[1, 4, 2, 7]).contains("agree"));
    assert!(message(&[4, 2, 8], &[4, 2, 8]).contains("[batch, sequence, heads, head_dim]"));
}
