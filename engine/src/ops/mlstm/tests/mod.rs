//! What the table of checks does not do: the authors' vectors, the recurrent and the parallel form at every chunk size, extreme
//! gates, documents, split sequences, steps.

mod documents;
mod forms;
mod naive;
mod units;
mod vectors;

use super::*;
use crate::check::test_device::gpu;
use crate::check::vectors::relative_error;
use crate::check::{Draw, Input, half_missing};
use crate::tape::apply;
use crate::{Device, Tape, Var};

/// The CPU in both types and the GPU, each with its tolerance on the authors' vectors.
fn targets() -> Vec<(Device, DType, f64)> {
    let cpu = Device::cpu();
    let mut all = vec![(cpu.clone(), DType::F64, 1e-6), (cpu, DType::F32, 2e-5)];
    all.extend(gpu().map(|gpu| (gpu, DType::F32, 1e-4)));
    all
}

/// h, and the final state if asked for, then the gradients of all float inputs.
fn evaluate(
    (device, dtype): (&Device, DType),
    operation: Mlstm,
    inputs: &[Input],
    upstream: &[Input],
) -> (Vec<Tensor>, Vec<Vec<f64>>) {
    let tape = Tape::new();
    let leaf = |input: &Input| {
        let tensor = input.tensor(device, dtype).unwrap();
        if input.index { Var::constant(tensor) } else { tape.leaf(tensor) }
    };
    let leaves: Vec<Var> = inputs.iter().map(leaf).collect();
    let outputs = apply(operation, &leaves.iter().collect::<Vec<_>>()).unwrap();
    let seeds =
        outputs.iter().zip(upstream).map(|(output, d)| (output.clone(), d.tensor(device, dtype).unwrap())).collect();
    let mut gradients = tape.backward_from(seeds).unwrap();
    let floats = leaves.iter().zip(inputs).filter(|(_, input)| !input.index);
    let gradients = floats.map(|(leaf, _)| gradients.take(leaf).unwrap().to_f64().unwrap()).collect();
    (outputs.into_iter().map(Var::into_tensor).collect(), gradients)
}

/// Random inputs [1, sequence, 2, ...] with an initial state, gates as given.
fn inputs(draw: &mut Draw, sequence: usize, input_gate: [f64; 2], forget_gate: [f64; 2]) -> Vec<Input> {
    let (heads, qk_dim, v_dim) = (2, 20, 37);
    vec![
        draw.normals(&[1, sequence, heads, qk_dim], 0.5, 1.0),
        draw.normals(&[1, sequence, heads, qk_dim], 0.5, 1.0),
        draw.normals(&[1, sequence, heads, v_dim], 0.0, 1.0),
        draw.uniform(&[1, sequence, heads], input_gate[0], input_gate[1]),
        draw.uniform(&[1, sequence, heads], forget_gate[0], forget_gate[1]),
        draw.normals(&[1, heads, qk_dim, v_dim], 0.0, 1.0),
        draw.normals(&[1, heads, qk_dim], 0.5, 1.0),
        draw.normals(&[1, heads], 0.0, 1.0),
    ]
}

#[test]
fn heads_one_wide() {
    let mut draw = Draw::new(11, 0);
    for (qk_dim, v_dim, sequence) in [(1, 1, 1), (1, 1, 70), (1, 65, 33), (66, 1, 65)] {
        let inputs = vec![
            draw.normals(&[2, sequence, 3, qk_dim], 0.5, 1.0),
            draw.normals(&[2, sequence, 3, qk_dim], 0.5, 1.0),
            draw.normals(&[2, sequence, 3, v_dim], 0.0, 1.0),
            draw.normals(&[2, sequence, 3], 0.0, 1.0),
            draw.normals(&[2, sequence, 3], 3.0, 1.0),
        ];
        let upstream = [draw.normals(&[2, sequence, 3, v_dim], 0.0, 1.0)];
        let operation = Mlstm { chunk_size: 32, epsilon: 0.0, input_gate: InputGate::Exponential, final_state: false };
        let defined = operation.definition(&inputs.iter().map(|input| input.array.clone()).collect::<Vec<_>>());
        let (_, exact) = evaluate((&Device::cpu(), DType::F64), operation, &inputs, &upstream);
        // With one key dimension the query's gradient is what rounding leaves of 0: errors on the scale of the largest.
        let scale = exact.iter().flatten().fold(0.0, |most: f64, x| most.max(x.abs()));
        for (device, dtype, tolerance) in targets() {
            let (outputs, gradients) = evaluate((&device, dtype), operation, &inputs, &upstream);
            assert!(relative_error(&outputs[0].to_f64().unwrap(), &defined[0].value.data) <= tolerance);
            for (place, (gradient, exact)) in gradients.iter().zip(&exact).enumerate() {
                let error = gradient.iter().zip(exact).fold(0.0, |worst: f64, (a, b)| worst.max((a - b).abs())) / scale;
                assert!(
                    error <= tolerance,
                    "{device:?} {dtype} {qk_dim} {v_dim} {sequence} gradient {place}: {error:e}"
                );
            }
        }
    }
}

#[test]
fn what_does_not_fit_is_refused_with_all_shapes() {
    let cpu = Device::cpu();
    let var = |sizes: &[usize]| Var::constant(Tensor::zeros(&cpu, Spec::new(sizes, DType::F32).unwrap()).unwrap());
    let (q, v, gate) = (var(&[2, 5, 3, 4]), var(&[2, 5, 3, 6]), var(&[2, 5, 3]));
    let options = Options::default();
    let message = |result: Result<Var>| result.unwrap_err().to_string();
    let wrong = message(mlstm(&q, &v, &v, &gate, &gate, options));
    assert!(wrong.contains("key should be [2, 5, 3, 4], it is [2, 5, 3, 6]"), "{wrong}");
    let wrong = message(mlstm(&q, &q, &v, &gate, &gate, Options { chunk_size: 8, ..options }));
    assert!(wrong.contains("it must be 16 to 256, and the nearest that works is "), "{wrong}");
    let reset = |sizes: &[usize], dtype| Var::constant(Tensor::zeros(&cpu, Spec::new(sizes, dtype).unwrap()).unwrap());
    let with = |reset: &Var| {
        let inputs = Inputs { query: &q, key: &q, value: &v, input_gate: &gate, forget_gate: &gate };
        message(mlstm_with(inputs, Extras { reset: Some(reset), ..Extras::default() }, options).map(|(h, _)| h))
    };
    let wrong = with(&reset(&[2, 5, 3], DType::U32));
    assert!(wrong.contains("reset should be [2, 5], it is [2, 5, 3]"), "{wrong}");
    let wrong = with(&reset(&[2, 5], DType::F32));
    assert!(wrong.contains("reset u32; query is f32, reset is f32"), "{wrong}");
    let state = State::empty(&cpu, 2, 3, 4, 6).unwrap();
    let wrong = message(mlstm_step(&q, &q, &v, &gate, &gate, &state, options).map(|(h, _)| h));
    assert!(wrong.contains("takes one position"), "{wrong}");
    assert!(message(mlstm(&gate, &q, &v, &gate, &gate, options)).contains("[batch, sequence, heads, qk_dim]"));
}

#[test]
fn the_chunk_size_rule_bounds_the_states() {
    assert_eq!(chunk_size_for(16, 32, DType::F16), 64);
    assert_eq!([DType::F32, DType::F16].map(|dtype| chunk_size_for(128, 256, dtype)), [64, 128]);
    assert_eq!(chunk_size_for(256, 512, DType::F32), 128);
    assert_eq!(chunk_size_for(512, 1024, DType::F16), 256);
}

#[test]
fn what_32_bits_do_not_reach_is_refused() {
    let sizes = |batch, sequence, qk_dim| Sizes { batch, sequence, heads: 8, qk_dim, v_dim: 512, chunk_size: 64 };
    gpu::expect_indexable(sizes(8, 2048, 256)).unwrap();
    let refused = |sizes, buffer: &str| {
        let message = gpu::expect_indexable(sizes).unwrap_err().to_string();
        for part in ["mlstm", buffer, "4294967295", "query is [", "chunk_size 64"] {
            assert!(message.contains(part), "{message}");
        }
    };
    refused(sizes(64, 4096, 256), "the states at the borders of chunks would have 4370662400 elements");
    refused(sizes(1 << 20, 2, 1), "value would have 8589934592 elements");
    refused(sizes(1, 1 << 27, 1), "value");
}
