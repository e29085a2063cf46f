//! The models against numbers that the original authors' code gave in f64: logits, loss, every weight's gradient, greedy
//! tokens, final states. `tests/vectors/README.md` says where they come from.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use gradus_engine::device::gpu::{Options, adapter};
use gradus_engine::{Device, Tape, Tensor, Var};
use gradus_models::generate::{Sampling, generate};
use gradus_models::{State, folder};
use safetensors::{Dtype, SafeTensors};

struct Expected(HashMap<String, (Vec<usize>, Vec<f64>)>);

impl Expected {
    fn read(path: &Path) -> Self {
        let bytes = std::fs::read(path).unwrap();
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        let values = |view: &safetensors::tensor::TensorView| match view.dtype() {
            Dtype::I64 => view.data().as_chunks().0.iter().map(|b| i64::from_le_bytes(*b) as f64).collect(),
            Dtype::F32 => view.data().as_chunks().0.iter().map(|b| f64::from(f32::from_le_bytes(*b))).collect(),
            other => panic!("{other:?}"),
        };
        Self(tensors.iter().map(|(name, view)| (name.to_owned(), (view.shape().to_vec(), values(&view)))).collect())
    }

    fn values(&self, name: &str) -> &[f64] {
        &self.0[name].1
    }

    /// Indices as tokens; negative ones (ignored targets) as `u32::MAX`.
    fn tokens(&self, device: &Device, name: &str) -> Tensor {
        let (sizes, values) = &self.0[name];
        let tokens: Vec<u32> = values.iter().map(|&x| if x < 0.0 { u32::MAX } else { x as u32 }).collect();
        Tensor::new(device, sizes, &tokens).unwrap()
    }
}

fn vectors(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors").join(name)
}

/// max |a − b| / max |b|
fn relative(got: &[f64], expected: &[f64]) -> f64 {
    assert_eq!(got.len(), expected.len());
    let largest = expected.iter().fold(0.0f64, |m, x| m.max(x.abs()));
    let worst = got.iter().zip(expected).fold(0.0f64, |m, (a, b)| m.max((a - b).abs()));
    assert!(got.iter().all(|x| x.is_finite()));
    worst / largest
}

/// The devices to test: the CPU, and the first adapter if there is one.
fn devices() -> Vec<Device> {
    let mut devices = vec![Device::cpu()];
    match adapter::open(0, Options::from_environment()) {
        Ok(gpu) => devices.push(Device::Gpu(gpu)),
        Err(error) => {
            assert!(std::env::var("GRADUS_REQUIRE_GPU").as_deref() != Ok("1"), "GRADUS_REQUIRE_GPU=1, but {error}");
            println!("skipped on the GPU: {error}");
        }
    }
    devices
}

fn check(name: &str, tolerance_cpu: impl Fn(&str) -> f64, tolerance_gpu: impl Fn(&str) -> f64) {
    let folder = vectors(name);
    let expected = Expected::read(&folder.join("expected.safetensors"));
    let gradients_expected = Expected::read(&folder.join("grads.safetensors"));
    for device in devices() {
        let model = folder::load(&folder, &device).unwrap();
        let near = |what: &str, got: &[f64], expected: &[f64]| {
            let tolerance = if device.is_gpu() { tolerance_gpu(what) } else { tolerance_cpu(what) };
            let error = relative(got, expected);
            println!("{name} {what}: {error:.1e} of {tolerance:.1e}");
            assert!(error <= tolerance, "{name} on {}: {what} is off by {error:e}", device.name());
        };
        let tokens = expected.tokens(&device, "input_ids");
        let logits = model.logits(&tokens, None).unwrap();
        near("logits", &logits.to_f64().unwrap(), expected.values("logits"));

        let tape = Tape::new();
        let leaves: Vec<Var> = model.weights.iter().map(|weight| tape.leaf(weight.clone())).collect();
        let loss = model.loss(&leaves, &tokens, &expected.tokens(&device, "targets")).unwrap();
        near("loss", &loss.tensor().to_f64().unwrap(), expected.values("loss"));
        let mut gradients = tape.backward(&loss).unwrap();
        for (parameter, leaf) in model.parameters().iter().zip(&leaves) {
            let gradient = gradients.take(leaf).unwrap().to_f64().unwrap();
            near(&parameter.name, &gradient, gradients_expected.values(&parameter.name));
        }

        // All at once, and the same token by token.
        let (batch, sequence) = (tokens.sizes()[0], tokens.sizes()[1]);
        let ids = tokens.to_vec::<u32>().unwrap();
        let mut whole = State::new(model.configuration(), &device, batch, sequence).unwrap();
        let mut steps = State::new(model.configuration(), &device, batch, sequence).unwrap();
        let last = model.next_logits(&tokens, &mut whole).unwrap().to_f64().unwrap();
        let mut stepped = Vec::new();
        for at in 0..sequence {
            let column: Vec<u32> = (0..batch).map(|row| ids[row * sequence + at]).collect();
            let column = Tensor::new(&device, &[batch, 1], &column).unwrap();
            stepped = model.next_logits(&column, &mut steps).unwrap().to_f64().unwrap();
        }
        near("step by step", &stepped, &last);
        for (layer, state) in whole.recurrent().enumerate() {
            for (part, tensor) in [("c", &state.memory), ("n", &state.normalizer), ("m", &state.stabilizer)] {
                near(
                    &format!("state.{layer}.{part}"),
                    &tensor.to_f64().unwrap(),
                    expected.values(&format!("state.{layer}.{part}")),
                );
            }
        }

        for row in 0..batch {
            let ids = |name: &str| -> Vec<u32> {
                let (sizes, values) = &expected.0[name];
                values[row * sizes[1]..(row + 1) * sizes[1]].iter().map(|&id| id as u32).collect()
            };
            let (prompt, greedy) = (ids("prompt_ids"), ids("greedy_ids"));
            let mut generated = Vec::new();
            generate(&model, &prompt, greedy.len(), Sampling::greedy(), |token| {
                generated.push(token);
                true
            })
            .unwrap();
            assert_eq!(generated, greedy, "{name} on {}", device.name());
        }
    }
}

// Tolerances of the vectors' manifest: ten times the error of a plain f32 run of the authors' code, at least 2e-5, on the
// CPU; thirty times, at least 1e-4, on a GPU. The worst conditioned, the bias of the first input gate, has 1.9e-5.

#[test]
fn the_xlstm_is_the_published_one() {
    let ten = |what: &str| if what.contains("gate_preact") { 2e-4 } else { 4e-5 };
    let thirty = |what: &str| if what.contains("gate_preact") { 6e-4 } else { 1e-4 };
    check("xlstm_tiny", ten, thirty);
}

#[test]
fn the_transformer_is_the_published_one() {
    check("llama_tiny", |_| 3e-5, |_| 1e-4);
}
