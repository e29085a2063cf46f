//! What the table of checks does not do: the authors' vectors, every chunk size, extreme gates, split sequences, steps.

use super::*;
use crate::Tape;
use crate::check::test_device::gpu;
use crate::check::vectors::{Vectors, relative_error};
use crate::check::{Draw, Input};

/// The CPU in both types and the GPU, each with its tolerance on the authors' vectors.
fn targets() -> Vec<(Device, DType, f64)> {
    let cpu = Device::cpu();
    let mut all = vec![(cpu.clone(), DType::F64, 1e-6), (cpu, DType::F32, 2e-5)];
    all.extend(gpu().map(|gpu| (gpu, DType::F32, 1e-4)));
    all
}

/// h, and the final state if asked for, then the gradients of all inputs.
fn evaluate(
    (device, dtype): (&Device, DType),
    operation: Mlstm,
    inputs: &[Input],
    upstream: &[Input],
) -> (Vec<Tensor>, Vec<Vec<f64>>) {
    let tape = Tape::new();
    let leaves: Vec<Var> = inputs.iter().map(|input| tape.leaf(input.tensor(device, dtype).unwrap())).collect();
    let outputs = apply(operation, &leaves.iter().collect::<Vec<_>>()).unwrap();
    let seeds =
        outputs.iter().zip(upstream).map(|(output, d)| (output.clone(), d.tensor(device, dtype).unwrap())).collect();
    let mut gradients = tape.backward_from(seeds).unwrap();
    let gradients = leaves.iter().map(|leaf| gradients.take(leaf).unwrap().to_f64().unwrap()).collect();
    (outputs.into_iter().map(Var::into_tensor).collect(), gradients)
}

/// [B, H, S, D] or [B, H, S] as [B, S, H, ...].
fn positions_first((sizes, data): (&[usize], &[f64])) -> Input {
    let (heads, sequence, width) = (sizes[1], sizes[2], sizes.get(3).copied().unwrap_or(1));
    let mut to = Vec::with_capacity(data.len());
    for batch in 0..sizes[0] {
        for position in 0..sequence {
            for head in 0..heads {
                let row = ((batch * heads + head) * sequence + position) * width;
                to.extend_from_slice(&data[row..row + width]);
            }
        }
    }
    let mut new_sizes = vec![sizes[0], sequence, heads];
    new_sizes.extend(sizes.get(3));
    Input::float(&new_sizes, to)
}

/// Every file of the exponential gate below `tests/vectors/mlstm`, or below `GRADUS_VECTORS`.
fn files() -> Vec<(String, Vectors)> {
    let kept = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/mlstm").to_owned();
    let folder = std::env::var("GRADUS_VECTORS").map_or(kept, |folder| folder + "/mlstm");
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("exp_")))
        .map(|path| {
            (path.file_stem().unwrap().to_string_lossy().into_owned(), Vectors::new(&std::fs::read(path).unwrap()))
        })
        .collect();
    files.sort_by(|a, b| a.0.cmp(&b.0));
    assert!(files.len() >= 7, "{folder} has {} files", files.len());
    files
}

#[test]
fn the_authors_vectors_at_every_chunk_size() {
    for (device, dtype, tolerance) in targets() {
        for (name, vectors) in files().iter().filter(|(name, _)| name != "exp_steps") {
            // A file without an initial state or gradients of the final one lacks their tensors.
            let has = |tensor: &str| match tensor {
                "c0" => matches!(name.as_str(), "exp_extreme_state" | "exp_ragged" | "exp_state"),
                _ => matches!(name.as_str(), "exp_ragged" | "exp_state"),
            };
            let given = |tensor: &str| positions_first(vectors.get(tensor));
            let plain = |tensor: &str| {
                let (sizes, data) = vectors.get(tensor);
                let sizes = if tensor.starts_with('m') || tensor.starts_with("dm") { &sizes[..2] } else { sizes };
                Input::float(sizes, data.to_vec())
            };
            let mut inputs: Vec<Input> = ["q", "k", "v", "i", "f"].map(given).into();
            let mut names = vec!["dq", "dk", "dv", "di", "df"];
            if has("c0") {
                inputs.extend(["c0", "n0", "m0"].map(plain));
                names.extend(["dc0", "dn0", "dm0"]);
            }
            let mut upstream = vec![given("dh")];
            if has("dc_last") {
                upstream.extend(["dc_last", "dn_last", "dm_last"].map(plain));
            }
            // A software driver takes its time.
            let chunk_sizes: &[usize] =
                if device.is_gpu() { &[16, 31, 64, 256] } else { &[16, 31, 32, 64, 100, 128, 256] };
            for &chunk_size in chunk_sizes {
                let operation = Mlstm { chunk_size, epsilon: 1e-6, final_state: true };
                let (outputs, gradients) = evaluate((&device, dtype), operation, &inputs, &upstream);
                let check = |what: &str, got: &[f64], expected: &[f64], tolerance: f64| {
                    let error = relative_error(got, expected);
                    assert!(error <= tolerance, "{device:?} {dtype} {name} chunk {chunk_size} {what}: {error:e}");
                };
                check("h", &outputs[0].to_f64().unwrap(), &given("h").array.data, tolerance);
                for (output, what) in outputs[1..].iter().zip(["c_last", "n_last", "m_last"]) {
                    check(what, &output.to_f64().unwrap(), vectors.get(what).1, tolerance);
                }
                for (gradient, what) in gradients.iter().zip(&names) {
                    let expected = if what.len() == 2 { given(what) } else { plain(what) };
                    // With ε = 1e-6 the constant stabiliser alone makes up to 1.1e-5 in the gates' gradients.
                    let gate = matches!(*what, "di" | "df" | "dm0");
                    check(what, gradient, &expected.array.data, if gate { tolerance.max(3e-5) } else { tolerance });
                }
            }
        }
    }
}

#[test]
fn steps_follow_the_authors_recurrence() {
    for (device, dtype, tolerance) in targets() {
        let (_, vectors) = files().into_iter().find(|(name, _)| name == "exp_steps").unwrap();
        let inputs = ["q", "k", "v", "i", "f"].map(|name| positions_first(vectors.get(name)));
        let (sizes, all) = vectors.get("c_all");
        let (cells, states, state) = (sizes[0] * sizes[1], sizes[2], sizes[3] * sizes[4]);
        // The state after `position` of every cell, from [B, H, positions, ...].
        let after = |name: &str, position: usize, width: usize| -> Vec<f64> {
            let data = vectors.get(name).1;
            (0..cells).flat_map(|cell| data[(cell * states + position) * width..][..width].to_vec()).collect()
        };
        assert_eq!(all.len(), cells * states * state);
        let (batch, heads, qk_dim, v_dim) = (sizes[0], sizes[1], sizes[3], sizes[4]);
        let var =
            |sizes: &[usize], data: Vec<f64>| Var::constant(Input::float(sizes, data).tensor(&device, dtype).unwrap());
        let mut before = State {
            memory: var(&[batch, heads, qk_dim, v_dim], after("c_all", 0, state)),
            normalizer: var(&[batch, heads, qk_dim], after("n_all", 0, qk_dim)),
            stabilizer: var(&[batch, heads], after("m_all", 0, 1)),
        };
        let h = positions_first(vectors.get("h"));
        for t in 0..states - 1 {
            let row = |input: &Input| {
                let width = if input.array.sizes.len() == 4 { input.array.sizes[3] } else { 1 };
                let mut sizes = input.array.sizes.clone();
                sizes[1] = 1;
                let row = heads * width;
                let data = (0..batch).flat_map(|b| input.array.data[(b * (states - 1) + t) * row..][..row].to_vec());
                var(&sizes, data.collect())
            };
            let [q, k, v, i, f] = inputs.each_ref().map(row);
            let (got, next) = mlstm_step(&q, &k, &v, &i, &f, &before, Options::default()).unwrap();
            let check = |what: &str, got: &Var, expected: &[f64]| {
                let error = relative_error(&got.tensor().to_f64().unwrap(), expected);
                assert!(error <= tolerance, "{device:?} {dtype} step {t} {what}: {error:e}");
            };
            check("h", &got, &row(&h).tensor().to_f64().unwrap());
            check("c", &next.memory, &after("c_all", t + 1, state));
            check("n", &next.normalizer, &after("n_all", t + 1, qk_dim));
            check("m", &next.stabilizer, &after("m_all", t + 1, 1));
            before = next;
        }
    }
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
fn gates_at_their_extremes_at_every_chunk_size() {
    let ranges = [
        ([-30.0, -30.0], [-30.0, -30.0]),
        ([30.0, 30.0], [-30.0, -30.0]),
        ([-30.0, 30.0], [-30.0, 30.0]),
        ([0.0, 1.0], [-30.0, -30.0]),
        ([-30.0, -30.0], [30.0, 30.0]),
    ];
    for (seed, (input_gate, forget_gate)) in ranges.into_iter().enumerate() {
        let mut draw = Draw::new(seed as u64, 0);
        let inputs = inputs(&mut draw, 257, input_gate, forget_gate);
        let upstream = [draw.normals(&[1, 257, 2, 37], 0.0, 1.0)];
        let exact = Mlstm { chunk_size: 16, epsilon: 0.0, final_state: false };
        let defined = exact.definition(&inputs.iter().map(|input| input.array.clone()).collect::<Vec<_>>());
        let (_, yardstick) = evaluate((&Device::cpu(), DType::F64), exact, &inputs, &upstream);
        let scale = yardstick.iter().flatten().fold(0.0, |most: f64, x| most.max(x.abs()));
        for (device, dtype, tolerance) in targets() {
            for chunk_size in [16, 64, 256] {
                let operation = Mlstm { chunk_size, ..exact };
                let (outputs, gradients) = evaluate((&device, dtype), operation, &inputs, &upstream);
                let tolerance = if dtype == DType::F64 { 1e-10 } else { tolerance };
                let got = outputs[0].to_f64().unwrap();
                let error = relative_error(&got, &defined[0].value.data);
                assert!(
                    error <= tolerance,
                    "{device:?} {dtype} {input_gate:?} {forget_gate:?} {chunk_size} h {error:e}"
                );
                for (place, (gradient, exact)) in gradients.iter().zip(&yardstick).enumerate() {
                    // Where one position outweighs all others, h is its value and some gradients are nothing but what is
                    // left of terms that cancel: errors are measured on the scale of the largest gradient.
                    let pairs = gradient.iter().zip(exact);
                    let error = pairs.fold(0.0, |worst: f64, (a, b)| worst.max((a - b).abs())) / scale;
                    assert!(
                        error <= tolerance && gradient.iter().all(|x| x.is_finite()),
                        "{device:?} {dtype} {input_gate:?} {forget_gate:?} {chunk_size} gradient {place}: {error:e}"
                    );
                }
            }
        }
    }
}

#[test]
fn a_sequence_split_in_two_gives_the_same() {
    let mut draw = Draw::new(7, 0);
    let (sequence, first, heads) = (75, 33, 2);
    let inputs = inputs(&mut draw, sequence, [-3.0, 3.0], [-2.0, 6.0]);
    let d_h = draw.normals(&[1, sequence, heads, 37], 0.0, 1.0);
    let operation = Mlstm { chunk_size: 32, epsilon: 0.0, final_state: false };
    for (device, dtype, tolerance) in targets() {
        let (whole, expected) = evaluate((&device, dtype), operation, &inputs, std::slice::from_ref(&d_h));
        let tape = Tape::new();
        let part = |input: &Input, from: usize, to: usize| {
            let row = heads * input.array.sizes.get(3).copied().unwrap_or(1);
            let mut sizes = input.array.sizes.clone();
            sizes[1] = to - from;
            Input::float(&sizes, input.array.data[from * row..to * row].to_vec()).tensor(&device, dtype).unwrap()
        };
        let leaves = |from, to| -> Vec<Var> { inputs[..5].iter().map(|x| tape.leaf(part(x, from, to))).collect() };
        let (early, late) = (leaves(0, first), leaves(first, sequence));
        let start: Vec<Var> = inputs[5..].iter().map(|x| tape.leaf(x.tensor(&device, dtype).unwrap())).collect();
        let [memory, normalizer, stabilizer] = start.clone().try_into().unwrap();
        let state = State { memory, normalizer, stabilizer };
        let options = Options { chunk_size: 32, epsilon: 0.0 };
        let [q, k, v, i, f] = early.as_slice() else { unreachable!() };
        let (h1, middle) = mlstm_with_state(q, k, v, i, f, &state, options).unwrap();
        let [q, k, v, i, f] = late.as_slice() else { unreachable!() };
        let (h2, _) = mlstm_with_state(q, k, v, i, f, &middle, options).unwrap();
        let joined = [h1.tensor().to_f64().unwrap(), h2.tensor().to_f64().unwrap()].concat();
        let tolerance = if dtype == DType::F64 { 1e-11 } else { tolerance };
        assert!(relative_error(&joined, &whole[0].to_f64().unwrap()) <= tolerance);
        let seeds = vec![(h1, part(&d_h, 0, first)), (h2, part(&d_h, first, sequence))];
        let mut gradients = tape.backward_from(seeds).unwrap();
        let mut take = |var: &Var| gradients.take(var).unwrap().to_f64().unwrap();
        for place in 0..8 {
            let got = match place {
                0..5 => [take(&early[place]), take(&late[place])].concat(),
                _ => take(&start[place - 5]),
            };
            let error = relative_error(&got, &expected[place]);
            assert!(error <= tolerance, "{device:?} {dtype} gradient {place}: {error:e}");
        }
    }
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
        let operation = Mlstm { chunk_size: 32, epsilon: 0.0, final_state: false };
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
    assert!(wrong.contains("chunk_size must be 16 to 256"), "{wrong}");
    let state = State::empty(&cpu, 2, 3, 4, 6).unwrap();
    let wrong = message(mlstm_step(&q, &q, &v, &gate, &gate, &state, options).map(|(h, _)| h));
    assert!(wrong.contains("takes one position"), "{wrong}");
    assert!(message(mlstm(&gate, &q, &v, &gate, &gate, options)).contains("[batch, sequence, heads, qk_dim]"));
}

#[test]
fn the_chunk_size_rule_bounds_the_states() {
    assert_eq!(chunk_size_for(8, 256, 4, 16, 32), 64);
    assert_eq!(chunk_size_for(1, 2048, 8, 256, 512), 128);
    assert_eq!(chunk_size_for(8, 2048, 8, 256, 512), 256);
}
