use gradus_engine::{Device, Tensor};
use half::f16;

use super::*;
use crate::configuration::{RopeScaling, presets};
use crate::folder::tests::devices;
use crate::generate::{Sampling, generate};
use crate::parameters::Role;

fn gpu() -> Option<Device> {
    devices().into_iter().find(|device| matches!(device, Device::Gpu(gpu) if gpu.report().shader_f16))
}

/// A model with biases and scaled frequencies.
const VARIANT: &str = "llama-tiny, biased";
const MODELS: [&str; 3] = ["xlstm-tiny", "llama-tiny", VARIANT];

/// A small model whose matrices have numbers that f16 holds, none of them zero, so that every part counts.
fn model(name: &str, device: &Device) -> Model {
    let preset = name.split(',').next().unwrap();
    let mut configuration = presets::find(preset).unwrap().model;
    configuration.num_blocks = 2;
    configuration.vocab_size = 301;
    configuration.output_logit_soft_cap = Some(30.0);
    if configuration.architecture == Architecture::Transformer {
        configuration.num_key_value_heads = 2;
    }
    if name == VARIANT {
        (configuration.attention_bias, configuration.mlp_bias) = (true, true);
        configuration.rope_scaling = RopeScaling::Llama3 { factor: 8.0, low: 1.0, high: 4.0, original_context: 40 };
    }
    let mut random = 1u32;
    let mut number = || {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (random >> 8) as f32 / 8_388_608.0 - 1.0
    };
    let weights = parameters::list(&configuration)
        .iter()
        .map(|parameter| {
            let count: usize = parameter.sizes.iter().product();
            let values: Vec<f32> = (0..count)
                .map(|_| match parameter.role {
                    Role::Norm => 1.0 + 0.3 * number(),
                    Role::Bias if name == VARIANT => 0.5 * number(),
                    Role::Bias => 2.0 * number(),
                    Role::Embedding | Role::Matrix => f16::from_f32(0.15 * number()).to_f32(),
                })
                .collect();
            Tensor::new(device, &parameter.sizes, &values).unwrap()
        })
        .collect();
    Model::with_weights(configuration, weights).unwrap()
}

fn tokens(count: usize, seed: usize) -> Vec<u32> {
    (0..count).map(|at| ((at * at * 31 + at * 7 + seed * 53) % 301) as u32).collect()
}

/// The largest difference, relative to the largest logit.
fn difference(got: &Tensor, expected: &Tensor) -> f64 {
    let (got, expected) = (got.to_f64().unwrap(), expected.to_f64().unwrap());
    assert_eq!(got.len(), expected.len());
    let largest = expected.iter().fold(0f64, |most, x| most.max(x.abs()));
    assert!(largest > 0.3, "{largest}");
    got.iter().zip(&expected).fold(0f64, |most, (a, b)| most.max((a - b).abs())) / largest
}

/// Steps compute in f32: an xLSTM's are those of the model in f32 to rounding, a Transformer's to that of its f16 cache. Measured
/// on lavapipe: 1.2e-5 and 5.7e-4 of the largest logit.
#[test]
fn steps_are_those_of_the_model_in_f32() {
    let Some(device) = gpu() else { return };
    for (name, tolerance) in MODELS.into_iter().zip([3e-5, 1e-3, 1e-3]) {
        let model = model(name, &device);
        let half = HalfModel::of(&model, &device).unwrap();
        for batch in [1, 3] {
            let mut session = half.session(batch, 6).unwrap();
            let mut reader = model.begin(batch, 6).unwrap();
            for step in 0..6 {
                let tokens = Tensor::new(&device, &[batch], &tokens(batch, step)).unwrap();
                let got = session.step(&tokens).unwrap();
                let error = difference(&got, &reader.step(&tokens).unwrap());
                assert!(error < tolerance, "{name}, {batch} texts, step {step}: {error:e}");
            }
            assert_eq!(session.position(), 6);
            let more = Tensor::new(&device, &[batch], &tokens(batch, 0)).unwrap();
            assert_eq!(session.step(&more).is_err(), name != "xlstm-tiny", "room ends for a Transformer alone");
        }
    }
}

/// A prompt is computed with f16 operands: at once, in two, or token by token gives the same to their rounding. Measured on
/// lavapipe: 1.8e-3 of the largest logit for the xLSTM and 1.1e-3 for the Transformer; matrix units add up in another order.
#[test]
fn a_prompt_is_read_at_once_in_pieces_and_token_by_token() {
    let Some(device) = gpu() else { return };
    for name in MODELS {
        let half = HalfModel::of(&model(name, &device), &device).unwrap();
        let texts = [tokens(90, 1), tokens(90, 2)];
        let mut by_steps = half.session(2, 92).unwrap();
        let mut expected = None;
        for (one, other) in texts[0].iter().zip(&texts[1]) {
            let tokens = Tensor::new(&device, &[2], &[*one, *other]).unwrap();
            expected = Some(by_steps.step(&tokens).unwrap());
        }
        let expected = expected.unwrap();
        let mut at_once = half.session(2, 92).unwrap();
        let got = at_once.read(&[&texts[0], &texts[1]]).unwrap();
        let mut in_pieces = half.session(2, 92).unwrap();
        in_pieces.read(&[&texts[0][..70], &texts[1][..70]]).unwrap();
        let pieces = in_pieces.read(&[&texts[0][70..], &texts[1][70..]]).unwrap();
        for (what, got) in [("at once", &got), ("in pieces", &pieces)] {
            let error = difference(got, &expected);
            println!("{name} {what}: {error:e}");
            assert!(error < 5e-3, "{name} {what}: {error:e}");
        }
        // And goes on from there.
        let next = Tensor::new(&device, &[2], &[5u32, 6]).unwrap();
        let expected = by_steps.step(&next).unwrap();
        for session in [&mut at_once, &mut in_pieces] {
            let error = difference(&session.step(&next).unwrap(), &expected);
            assert!(error < 5e-3, "{name}: {error:e}");
        }
        assert!(at_once.read(&[&texts[0], &texts[1]]).is_err() == (name != "xlstm-tiny"));
    }
}

#[test]
fn greedy_tokens_are_those_of_the_same_steps() {
    let Some(device) = gpu() else { return };
    for name in MODELS {
        let half = HalfModel::of(&model(name, &device), &device).unwrap();
        let prompt = tokens(5, 3);
        let mut got = Vec::new();
        generate(&half, &prompt, 9, Sampling::greedy(), |token| {
            got.push(token);
            true
        })
        .unwrap();
        let mut session = half.session(1, 14).unwrap();
        let mut logits = session.read(&[&prompt]).unwrap();
        let mut expected = Vec::new();
        for _ in 0..9 {
            let values = logits.to_vec::<f32>().unwrap();
            let best = (0..values.len()).fold(0, |best, at| if values[at] > values[best] { at } else { best });
            expected.push(best as u32);
            logits = session.step(&Tensor::new(&device, &[1], &[best as u32]).unwrap()).unwrap();
        }
        assert_eq!(got, expected, "{name}");
    }
}

#[test]
fn random_models_generate() {
    let Some(device) = gpu() else { return };
    for name in ["xlstm-tiny", "llama-tiny"] {
        let mut configuration = presets::find(name).unwrap().model;
        configuration.attention_bias = name == "llama-tiny";
        let half = HalfModel::random(configuration, &device, 3).unwrap();
        let mut written = 0;
        generate(&half, &[1, 2, 3], 5, Sampling::default(), |token| {
            written += u32::from(token < 256);
            true
        })
        .unwrap();
        assert_eq!(written, 5, "{name}");
    }
}

#[test]
fn what_the_kernels_cannot_run_is_refused() {
    let mut configuration = presets::find("llama-tiny").unwrap().model;
    configuration.feed_forward_dim = 387;
    let error = check(&configuration).unwrap_err().to_string();
    assert!(error.contains("feed_forward_dim must be a multiple of 8, it is 387; take f32"), "{error}");
    let configuration = presets::find("llama-tiny").unwrap().model;
    let error = HalfModel::random(configuration, &Device::cpu(), 0).unwrap_err().to_string();
    assert!(error.contains("the CPU only stores f16; take f32"), "{error}");
}

#[test]
fn pieces_fit_what_a_tensor_may_have() {
    let xlstm = presets::find("xlstm-7b").unwrap().model;
    // On a card whose buffers are large, as many tokens as keep it busy.
    assert_eq!(piece_tokens(&xlstm, 1, 2 << 30), 8192);
    assert_eq!(piece_tokens(&xlstm, 8, 2 << 30), 1024);
    // With 128 MiB, 31 borders of chunks of 128 and no more tokens than SwiGLU's gates allow.
    assert!(piece_tokens(&xlstm, 1, 128 << 20) <= 31 * 128);
    let mut llama = presets::find("llama-7b").unwrap().model;
    assert!(piece_tokens(&llama, 1, 128 << 20) <= (128 << 20) / (4 * 10_944));
    // With a bias the gates are f32 before they are f16.
    llama.mlp_bias = true;
    assert!(piece_tokens(&llama, 1, 128 << 20) <= (128 << 20) / (8 * 10_944));
}
