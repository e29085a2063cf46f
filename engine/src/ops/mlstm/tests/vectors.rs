//! The authors' vectors.

use super::*;
use crate::check::vectors::Vectors;

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

/// Every file below `tests/vectors/mlstm`, or below `GRADUS_VECTORS`, whose name starts with `gate`.
fn files(gate: &str) -> Vec<(String, Vectors)> {
    let kept = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/mlstm").to_owned();
    let folder = std::env::var("GRADUS_VECTORS").map_or(kept, |folder| folder + "/mlstm");
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(gate)))
        .map(|path| {
            (path.file_stem().unwrap().to_string_lossy().into_owned(), Vectors::new(&std::fs::read(path).unwrap()))
        })
        .collect();
    files.sort_by(|a, b| a.0.cmp(&b.0));
    assert!(!files.is_empty(), "{folder} has no file of {gate}");
    files
}

/// Where a file without an initial state or gradients of the final one lacks their tensors.
fn has(name: &str, tensor: &str) -> bool {
    match tensor {
        "c0" => matches!(name, "exp_extreme_state" | "exp_ragged" | "exp_state" | "sig_state"),
        _ => matches!(name, "exp_ragged" | "exp_state" | "sig_state"),
    }
}

/// A tensor of a file as the operation takes it.
fn given(vectors: &Vectors, tensor: &str) -> Input {
    let (sizes, data) = vectors.get(tensor);
    let name = tensor.trim_end_matches("_raw").trim_start_matches('d');
    match name {
        "m0" | "m_last" => Input::float(&sizes[..2], data.to_vec()),
        "c0" | "n0" | "c_last" | "n_last" => Input::float(sizes, data.to_vec()),
        _ => positions_first((sizes, data)),
    }
}

// A software driver takes its time.
fn chunk_sizes(device: &Device) -> &'static [usize] {
    if device.is_gpu() { &[16, 31, 64, 256] } else { &[16, 31, 32, 64, 100, 128, 256] }
}

#[test]
fn the_authors_vectors_at_every_chunk_size() {
    for (device, dtype, tolerance) in targets() {
        for (name, vectors) in files("exp_").iter().filter(|(name, _)| name != "exp_steps") {
            let given = |tensor: &str| given(vectors, tensor);
            let mut inputs: Vec<Input> = ["q", "k", "v", "i", "f"].map(given).into();
            let mut names = vec!["dq", "dk", "dv", "di", "df"];
            if has(name, "c0") {
                inputs.extend(["c0", "n0", "m0"].map(given));
                names.extend(["dc0", "dn0", "dm0"]);
            }
            let mut upstream = vec![given("dh")];
            if has(name, "dc_last") {
                upstream.extend(["dc_last", "dn_last", "dm_last"].map(given));
            }
            for &chunk_size in chunk_sizes(&device) {
                let operation = Options { chunk_size, ..Options::default() }.operation(true);
                let (outputs, gradients) = evaluate((&device, dtype), operation, &inputs, &upstream);
                let check = |what: &str, got: &[f64], tolerance: f64| {
                    let error = relative_error(got, &given(what).array.data);
                    assert!(error <= tolerance, "{device:?} {dtype} {name} chunk {chunk_size} {what}: {error:e}");
                };
                for (output, what) in outputs.iter().zip(["h", "c_last", "n_last", "m_last"]) {
                    check(what, &output.to_f64().unwrap(), tolerance);
                }
                for (gradient, what) in gradients.iter().zip(&names) {
                    // With ε = 1e-6 the constant stabiliser alone makes up to 1.1e-5 in the gates' gradients.
                    let gate = matches!(*what, "di" | "df" | "dm0");
                    check(what, gradient, if gate { tolerance.max(3e-5) } else { tolerance });
                }
            }
        }
    }
}

#[test]
fn the_authors_vectors_of_the_sigmoid_gate_at_every_chunk_size() {
    for (device, dtype, tolerance) in targets() {
        for ((name, vectors), normalize) in files("sig_").iter().flat_map(|file| [(file, true), (file, false)]) {
            let given = |tensor: &str| given(vectors, tensor);
            let suffix = if normalize { "" } else { "_raw" };
            let mut inputs: Vec<Input> = ["q", "k", "v", "i", "f"].map(given).into();
            let mut names = vec!["dq", "dk", "dv", "di", "df"];
            let mut upstream = vec![given("dh")];
            if has(name, "c0") {
                inputs.extend(["c0", "n0"].map(given));
                // The file has no m: any is the same.
                let sizes = &inputs[5].array.sizes[..2];
                inputs.push(Input::float(sizes, vec![3.0; sizes.iter().product()]));
                // Where h is not divided by den, the files carry no n.
                names.extend(if normalize { &["dc0", "dn0"][..] } else { &["dc0"] });
            }
            if has(name, "dc_last") {
                upstream.push(given("dc_last"));
                upstream.extend(normalize.then(|| given("dn_last")));
            }
            for &chunk_size in chunk_sizes(&device) {
                let gate = InputGate::Sigmoid { normalize };
                let operation = Options { chunk_size, input_gate: gate, ..Options::default() }.operation(true);
                let (outputs, gradients) = evaluate((&device, dtype), operation, &inputs, &upstream);
                let check = |what: &str, got: &[f64]| {
                    let error = relative_error(got, &given(what).array.data);
                    assert!(error <= tolerance, "{device:?} {dtype} {name} {gate:?} {chunk_size} {what}: {error:e}");
                };
                let what = [&format!("h{suffix}"), "c_last", "n_last"];
                for (output, what) in outputs.iter().zip(what) {
                    check(what, &output.to_f64().unwrap());
                }
                let tensors: Vec<Tensor> = inputs.iter().map(|x| x.tensor(&device, dtype).unwrap()).collect();
                let all = crate::operation::run(&operation, &tensors.iter().collect::<Vec<_>>()).unwrap();
                let den = all[4].to_f64().unwrap().into_iter().map(|x| x.abs().max(1.0));
                check("den", &den.collect::<Vec<_>>());
                assert!(outputs[3].to_f64().unwrap().iter().all(|&m| m == 0.0));
                for (gradient, what) in gradients.iter().zip(&names) {
                    check(&format!("{what}{}", if *what == "dn0" { "" } else { suffix }), gradient);
                }
                assert!(gradients.get(7).is_none_or(|dm| dm.iter().all(|&x| x == 0.0)));
            }
        }
    }
}

#[test]
fn steps_follow_the_authors_recurrence() {
    for (device, dtype, tolerance) in targets() {
        let (_, vectors) = files("exp_").into_iter().find(|(name, _)| name == "exp_steps").unwrap();
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
