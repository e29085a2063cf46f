//! Models of unusual shapes against a naive definition in f64, and each of the mistakes that are easily made against the same:
//! the comparison must see it. Then the same text read at once, token by token, and in pieces.

mod definition;
mod devices;

use definition::{Definition, Trap};
use devices::devices;
use gradus_engine::{Device, Precision, Tape, Tensor, Var};
use gradus_models::configuration::{ModelConfiguration, RopeScaling, presets};
use gradus_models::parameters::{self, Role};
use gradus_models::{Model, State};

/// The same number every time: a linear congruential generator, −1 to 1.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }

    fn tokens(&mut self, count: usize, vocabulary: usize) -> Vec<u32> {
        (0..count).map(|_| ((self.next() + 1.0) / 2.0 * vocabulary as f64) as u32).collect()
    }
}

/// A model whose every weight matters: norms away from 1, gates and logits into their caps.
fn model(configuration: &ModelConfiguration, device: &Device) -> Model {
    let mut numbers = Numbers(7);
    let weights = parameters::list(configuration).into_iter().map(|parameter| {
        let count: usize = parameter.sizes.iter().product();
        let values: Vec<f32> = (0..count)
            .map(|_| {
                let x = numbers.next();
                (match parameter.role {
                    Role::Embedding => 1.5 * x,
                    Role::Norm => 1.0 + 0.5 * x,
                    Role::Bias => 3.0 * x,
                    Role::Matrix => x * (5.0 / parameter.sizes[1] as f64).sqrt(),
                }) as f32
            })
            .collect();
        Tensor::new(device, &parameter.sizes, &values).unwrap()
    });
    let weights = weights.collect();
    Model::with_weights(configuration.clone(), weights).unwrap()
}

/// Three heads whose values are wider together than the residual stream, and every number away from its default.
fn xlstm() -> ModelConfiguration {
    ModelConfiguration {
        vocab_size: 61,
        embedding_dim: 24,
        num_blocks: 2,
        num_heads: 3,
        num_key_value_heads: 3,
        qk_head_dim: 6,
        v_head_dim: 10,
        feed_forward_dim: 40,
        norm_eps: 1e-2,
        cell_eps: 5e-2,
        gate_soft_cap: 4.0,
        output_logit_soft_cap: Some(6.0),
        chunk_size: 16,
        ..presets::find("xlstm-tiny").unwrap().model
    }
}

/// Four query heads on two of keys and values, wider together than the residual stream.
fn llama() -> ModelConfiguration {
    ModelConfiguration {
        vocab_size: 61,
        embedding_dim: 24,
        num_blocks: 2,
        num_heads: 4,
        num_key_value_heads: 2,
        qk_head_dim: 10,
        v_head_dim: 10,
        feed_forward_dim: 36,
        norm_eps: 1e-2,
        rope_theta: 300.0,
        output_logit_soft_cap: Some(5.0),
        ..presets::find("llama-tiny").unwrap().model
    }
}

/// Biases everywhere, and frequencies of all three kinds: 1 stays, the second of five is mixed, and the others are divided.
fn biased() -> ModelConfiguration {
    ModelConfiguration {
        attention_bias: true,
        mlp_bias: true,
        rope_scaling: RopeScaling::Llama3 { factor: 6.0, low: 1.5, high: 4.0, original_context: 48 },
        ..llama()
    }
}

/// max |a − b| / max |b|
fn relative(got: &[f64], expected: &[f64]) -> f64 {
    assert_eq!(got.len(), expected.len());
    let largest = expected.iter().fold(0.0f64, |m, x| m.max(x.abs()));
    got.iter().zip(expected).fold(0.0f64, |m, (a, b)| m.max((a - b).abs())) / largest
}

const LENGTH: usize = 37;

/// Logits and final states, as one list each.
fn computed(model: &Model, tokens: &[u32], pieces: &[usize]) -> (Vec<f64>, Vec<f64>) {
    let device = model.device();
    let mut state = State::new(model.configuration(), &device, 1, tokens.len()).unwrap();
    let (mut logits, mut at) = (Vec::new(), 0);
    for piece in pieces {
        let part = Tensor::new(&device, &[1, *piece], &tokens[at..at + piece]).unwrap();
        logits.extend(model.logits(&part, Some(&mut state)).unwrap().to_f64().unwrap());
        at += piece;
    }
    assert_eq!(at, tokens.len());
    let parts = |state: &gradus_models::state::Recurrent| {
        [&state.memory, &state.normalizer, &state.stabilizer].map(|part| part.to_f64().unwrap()).concat()
    };
    let states = state.recurrent().flat_map(parts).collect();
    (logits, states)
}

/// The definition's, in the order of [`computed`].
fn defined(model: &Model, tokens: &[u32], trap: Trap) -> (Vec<f64>, Vec<f64>) {
    let (logits, cells) = Definition::new(model, trap).run(tokens);
    let layers = cells.chunks(model.configuration().num_heads);
    let states = layers.flat_map(|heads| {
        let memory = heads.iter().flat_map(|cell| cell.0.clone());
        let normalizer = heads.iter().flat_map(|cell| cell.1.clone());
        memory.chain(normalizer).chain(heads.iter().map(|cell| cell.2)).collect::<Vec<f64>>()
    });
    (logits.concat(), states.collect())
}

#[test]
fn models_of_any_shape_are_their_definition() {
    let mut tied = llama();
    tied.tie_word_embeddings = true;
    tied.output_logit_soft_cap = None;
    let mut tied_xlstm = xlstm();
    tied_xlstm.tie_word_embeddings = true;
    tied_xlstm.num_heads = 1;
    tied_xlstm.num_key_value_heads = 1;
    let linear = ModelConfiguration { rope_scaling: RopeScaling::Linear { factor: 2.5 }, ..tied.clone() };
    let attention_alone = ModelConfiguration { mlp_bias: false, tie_word_embeddings: true, ..biased() };
    let feed_forward_alone = ModelConfiguration { attention_bias: false, num_key_value_heads: 1, ..biased() };
    let tokens = Numbers(3).tokens(LENGTH, 61);
    for device in devices() {
        let tolerance = if device.is_gpu() { 1e-4 } else { 2e-5 };
        for configuration in [
            xlstm(),
            llama(),
            biased(),
            tied.clone(),
            tied_xlstm.clone(),
            linear.clone(),
            attention_alone.clone(),
            feed_forward_alone.clone(),
        ] {
            let model = model(&configuration, &device);
            let expected = defined(&model, &tokens, Trap::None);
            let got = computed(&model, &tokens, &[LENGTH]);
            let whole = Tensor::new(&device, &[1, LENGTH], &tokens).unwrap();
            let without = model.logits(&whole, None).unwrap().to_f64().unwrap();
            let mut blocks = Vec::new();
            model
                .logits_in_blocks(&tokens, |block| {
                    blocks.extend(block.iter().map(|x| f64::from(*x)));
                    Ok::<(), gradus_models::Error>(())
                })
                .unwrap();
            for (what, got, expected) in [
                ("logits with a state", &got.0, &expected.0),
                ("logits", &without, &expected.0),
                ("logits in blocks", &blocks, &expected.0),
                ("states", &got.1, &expected.1),
            ] {
                if expected.is_empty() {
                    continue;
                }
                let error = relative(got, expected);
                println!("{} {what}: {error:.1e}", configuration.architecture);
                assert!(error <= tolerance, "{configuration:?} on {}: {what} off by {error:e}", device.name());
            }
        }
    }
}

/// Every mistake shows in the logits, or, where it cannot, in the state that generation goes on from.
#[test]
fn the_comparison_sees_every_mistake() {
    use Trap::{
        BiasesLeftOut, DefaultBase, DefaultEpsilon, EpsilonInside, EveryFrequencyDivided, FrequenciesUnscaled,
        GateAndUpExchanged, GatesUncapped, GroupsInterleaved, KeyScaled, LogitsUncapped, QueryBiasBehindRotation,
        RootMeanSquareOverHeads, RotaryPairs, ScaledByHeads, StabilizerFromNowhere,
    };
    let tokens = Numbers(3).tokens(LENGTH, 61);
    for (configuration, traps) in [
        (
            xlstm(),
            &[
                RootMeanSquareOverHeads,
                KeyScaled,
                StabilizerFromNowhere,
                EpsilonInside,
                GatesUncapped,
                LogitsUncapped,
                GateAndUpExchanged,
                DefaultEpsilon,
            ][..],
        ),
        (
            llama(),
            &[
                RotaryPairs,
                GroupsInterleaved,
                ScaledByHeads,
                LogitsUncapped,
                GateAndUpExchanged,
                DefaultEpsilon,
                DefaultBase,
            ],
        ),
        (biased(), &[FrequenciesUnscaled, EveryFrequencyDivided, BiasesLeftOut, QueryBiasBehindRotation]),
    ] {
        let model = model(&configuration, &Device::cpu());
        for trap in traps {
            // Where a stabiliser began is forgotten as soon as an input gate opens.
            let length = if *trap == StabilizerFromNowhere { 2 } else { LENGTH };
            let tokens = &tokens[..length];
            let got = computed(&model, tokens, &[length]);
            let mistaken = defined(&model, tokens, *trap);
            let logits = relative(&got.0, &mistaken.0);
            let states = if got.1.is_empty() { 0.0 } else { relative(&got.1, &mistaken.1) };
            println!("{trap:?}: logits {logits:.1e}, states {states:.1e}");
            assert!(logits.max(states) > 1e-3, "{trap:?} would not be seen: {logits:e} {states:e}");
            if *trap == KeyScaled {
                assert!(logits < 2e-5, "the output does not depend on which of the two is scaled");
            }
        }
    }
}

/// In f32, within 1e-5 of the largest value: at once, token by token, split in two anywhere with the state carried over, and
/// in pieces of every kind.
#[test]
fn reading_at_once_and_in_pieces_is_the_same() {
    let tokens = Numbers(5).tokens(LENGTH, 61);
    for device in devices() {
        for configuration in [xlstm(), llama(), biased()] {
            let model = model(&configuration, &device);
            let (logits, states) = computed(&model, &tokens, &[LENGTH]);
            for pieces in [
                vec![1; LENGTH],
                vec![1, LENGTH - 1],
                vec![LENGTH - 1, 1],
                vec![16, LENGTH - 16],
                vec![20, LENGTH - 20],
                vec![15, 1, 17, 1, 1, 2],
            ] {
                let (piecewise, carried) = computed(&model, &tokens, &pieces);
                let error = relative(&piecewise, &logits);
                assert!(error <= 1e-5, "{} on {} as {pieces:?}: {error:e}", configuration.architecture, device.name());
                if !states.is_empty() {
                    let error = relative(&carried, &states);
                    assert!(error <= 1e-5, "states on {} as {pieces:?}: {error:e}", device.name());
                }
            }
        }
    }
}

/// The mean cross entropy by the definition, with an element of a weight moved.
fn defined_loss(model: &Model, (tokens, targets): (&[u32], &[u32]), (name, at, by): (&str, usize, f64)) -> f64 {
    let mut definition = Definition::new(model, Trap::None);
    definition.shift(name, at, by);
    let rows = definition.run(tokens).0;
    let losses = rows.iter().zip(targets).map(|(row, target)| {
        let highest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        highest + row.iter().map(|x| (x - highest).exp()).sum::<f64>().ln() - row[*target as usize]
    });
    losses.sum::<f64>() / targets.len() as f64
}

/// The gradient of each weight, by the model's own backward.
fn gradients(model: &Model, tokens: &[u32], targets: &[u32]) -> Vec<Vec<f64>> {
    let tape = Tape::new();
    let leaves: Vec<Var> = model.weights.iter().map(|weight| tape.leaf(weight.clone())).collect();
    let on_device = |tokens: &[u32]| Tensor::new(&model.device(), &[1, tokens.len()], tokens).unwrap();
    let loss = model.loss(&leaves, &on_device(tokens), &on_device(targets)).unwrap();
    let mut gradients = tape.backward(&loss).unwrap();
    leaves.iter().map(|leaf| gradients.take(leaf).unwrap().to_f64().unwrap()).collect()
}

/// Every weight of a block with biases, at two elements each, against fourth-order differences of the definition; with and
/// without the blocks computed again on the way back.
#[test]
fn gradients_with_biases_are_those_of_the_definition() {
    const STEP: f64 = 1e-3;
    let (tokens, targets) = (Numbers(3).tokens(9, 61), Numbers(4).tokens(9, 61));
    let both = (tokens.as_slice(), targets.as_slice());
    let configuration = ModelConfiguration { num_blocks: 2, ..biased() };
    let model_on_cpu = model(&configuration, &Device::cpu());
    let mut numbers = Numbers(11);
    let expected: Vec<[(usize, f64); 2]> = (model_on_cpu.parameters().iter())
        .map(|parameter| {
            let count: usize = parameter.sizes.iter().product();
            [0, 1].map(|_| {
                let at = ((numbers.next() + 1.0) / 2.0 * count as f64) as usize;
                let loss = |steps: f64| defined_loss(&model_on_cpu, both, (&parameter.name, at, steps * STEP));
                (at, (8.0 * (loss(1.0) - loss(-1.0)) - (loss(2.0) - loss(-2.0))) / (12.0 * STEP))
            })
        })
        .collect();
    for device in devices() {
        for checkpointing in [false, true] {
            let model = model(&configuration, &device).with_gradient_checkpointing(checkpointing);
            let gradients = gradients(&model, &tokens, &targets);
            for ((parameter, gradient), expected) in model.parameters().iter().zip(&gradients).zip(&expected) {
                let largest = gradient.iter().fold(0.0f64, |m, x| m.max(x.abs()));
                for (at, expected) in expected {
                    let error = (gradient[*at] - expected).abs() / largest;
                    let name = &parameter.name;
                    assert!(error < 1e-4, "{name} at {at} on {}: {} for {expected}", device.name(), gradient[*at]);
                }
            }
        }
    }
}

/// In mixed precision gradients are those of f32 to the rounding of f16. Measured on lavapipe: at most 4.7e-3 of a gradient's
/// l2 norm.
#[test]
fn gradients_with_biases_are_near_in_mixed_precision() {
    let (tokens, targets) = (Numbers(3).tokens(LENGTH, 61), Numbers(4).tokens(LENGTH, 61));
    let has_half = |device: &Device| matches!(device, Device::Gpu(gpu) if gpu.report().shader_f16);
    for device in devices().into_iter().filter(has_half) {
        let full = model(&biased(), &device);
        let expected = gradients(&full, &tokens, &targets);
        let half = full.in_precision(Precision::Half).unwrap();
        let got = gradients(&half, &tokens, &targets);
        for ((parameter, got), expected) in half.parameters().iter().zip(&got).zip(&expected) {
            let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|x| x * x).sum::<f64>().sqrt();
            let error = norm(&mut got.iter().zip(expected).map(|(a, b)| a - b)) / norm(&mut expected.iter().copied());
            println!("{}: {error:.1e}", parameter.name);
            assert!(error < 1e-2, "{}: {error:e}", parameter.name);
        }
    }
}
