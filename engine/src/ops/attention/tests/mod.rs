//! What the table of checks does not do: long sequences and large logits, the original authors' numbers, documents, steps
//! over a cache, sizes at their limits.

mod documents;
mod lengths;
mod logits;
pub(super) mod matrices;
mod sizes;
mod steps;

use super::*;
use crate::check::vectors::Vectors;
use crate::check::{Case, Draw, Input, check_case, test_device};
use crate::operation::{run, run_backward};
use crate::{DType, Device};

/// Forward and backward outputs (out, normalizers, dq, dk, dv) of a case on a device.
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
        needs: &[true, true, true, false],
    };
    let gradients = run_backward(&*case.operation, &context).unwrap();
    assert_eq!(gradients.len(), inputs.len());
    outputs.into_iter().chain(gradients.into_iter().flatten()).map(|tensor| tensor.to_f64().unwrap()).collect()
}

/// max |a − b| / max |b|
fn distance(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    assert!(a.iter().all(|x| x.is_finite()), "not finite");
    let most = b.iter().fold(0f64, |most, x| most.max(x.abs()));
    a.iter().zip(b).fold(0f64, |far, (a, b)| far.max((a - b).abs())) / most.max(1e-30)
}

/// Forward and gradients in f32 against the definition and the exact gradients: the worst error as a share of the bound of
/// its element, which follows from the definition and, for gradients, from probes of the exact backward.
fn share(case: &Case, device: &Device, seed: u64) -> f64 {
    let measured = check_case(case, device, DType::F32, seed).unwrap();
    if let Device::Gpu(gpu) = device {
        gpu.verify_guards().unwrap();
    }
    println!("forward {:.3}, backward {:.3}: {}", measured.forward.share, measured.backward.share, case.describe());
    measured.worst()
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

/// Normal numbers; of query and key with this deviation.
fn inputs(seed: u64, query: [usize; 4], keys: usize, kv_heads: usize, deviation: f64) -> Vec<Input> {
    let mut draw = Draw::new(seed, usize::MAX);
    let key = [query[0], keys, kv_heads, query[3]];
    let query = draw.normals(&query, 0.0, deviation);
    vec![query, draw.normals(&key, 0.0, deviation), draw.normals(&key, 0.0, 1.0)]
}

fn plain(inputs: Vec<Input>) -> Case {
    Case::new(Attention::default(), inputs)
}

fn with_documents(options: AttentionOptions, mut inputs: Vec<Input>, first_key: Input) -> Case {
    inputs.push(first_key);
    Case::new(Attention { options, documents: true }, inputs)
}

fn devices() -> impl Iterator<Item = Device> {
    std::iter::once(Device::cpu()).chain(test_device::gpu())
}

#[test]
fn the_original_authors_numbers() {
    for name in ["gqa_d32_s128", "gqa_d64_s128", "gqa_d80_s257", "mha_d32_s33", "mha_d80_s33"] {
        let Some(vectors) = Vectors::open(&format!("attention/{name}.safetensors")) else { continue };
        let input = |name: &str| {
            let (sizes, data) = vectors.get(name);
            swapped(sizes, data)
        };
        let case = plain(vec![input("q"), input("k"), input("v")]);
        for device in devices() {
            let found = compute(&case, &input("dout"), &device, DType::F32);
            let lse: Vec<f64> = found[1].chunks(2).map(|pair| pair[0] + pair[1].ln()).collect();
            // The numbers are f32 themselves, with errors of their own.
            let tolerance = if device.is_gpu() { 1e-4 } else { 2e-5 };
            assert!(distance(&lse, vectors.get("lse").1) < tolerance, "{name}: lse");
            for (place, of) in [(0, "out"), (2, "dq"), (3, "dk"), (4, "dv")] {
                assert!(distance(&found[place], &input(of).array.data) < tolerance, "{name}: {of}");
            }
        }
    }
}

#[test]
fn every_element_of_every_gradient_is_the_slope_of_the_definition() {
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
fn the_same_bits_in_every_run() {
    let outcome = |device: &Device| {
        let mut draw = Draw::new(3, 0);
        let first_key = cases::first_key(&mut draw, [2, 150], 7);
        let case = with_documents(AttentionOptions::default(), inputs(3, [2, 150, 4, 40], 157, 2, 1.0), first_key);
        compute(&case, &draw.normals(&[2, 150, 4, 40], 0.0, 1.0), device, DType::F32)
    };
    for device in devices() {
        assert_eq!(outcome(&device), outcome(&device), "{device:?}");
    }
    let on_threads = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| outcome(&Device::cpu()))
    };
    let first = on_threads(1);
    assert_eq!(first, on_threads(2));
    assert_eq!(first, on_threads(5));
}

#[test]
fn a_key_of_several_heads_has_the_sum_of_their_gradients() {
    let grouped = inputs(5, [1, 70, 6, 20], 70, 2, 1.0);
    let d_output = Draw::new(6, 0).normals(&[1, 70, 6, 20], 0.0, 1.0);
    // The same with a key head for each query head.
    let spread = |input: &Input| {
        let row = |row: &[f64]| row.chunks(20).flat_map(|head| [head, head, head]).flatten().copied().collect();
        let data = input.array.data.chunks(40).flat_map(|chunk| -> Vec<f64> { row(chunk) }).collect();
        Input::float(&[1, 70, 6, 20], data)
    };
    let single = plain(vec![grouped[0].clone(), spread(&grouped[1]), spread(&grouped[2])]);
    let grouped = plain(grouped);
    for device in devices() {
        let [grouped, single] = [&grouped, &single].map(|case| compute(case, &d_output, &device, DType::F32));
        for place in [0, 2] {
            assert!(distance(&grouped[place], &single[place]) < 1e-6);
        }
        for place in [3, 4] {
            let sums: Vec<f64> = single[place]
                .chunks(60)
                .flat_map(|group| (0..20).map(move |d| group[d] + group[20 + d] + group[40 + d]))
                .collect();
            assert!(distance(&grouped[place], &sums) < 2e-6, "{place} on {device:?}");
        }
    }
}
