//! The weights of a model: names as in Hugging Face files, shapes, how they start, and which of them decay.

use gradus_engine::{Device, Error, Tensor};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use crate::Result;
use crate::configuration::{Architecture, ModelConfiguration};

/// What a weight is to the optimizer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A row a token; no weight decay.
    Embedding,
    /// A linear layer's matrix, [out, in]; the only weights that decay.
    Matrix,
    /// A norm's scale.
    Norm,
    /// A bias.
    Bias,
}

/// How a weight starts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Initial {
    /// Normal numbers with mean 0 and this deviation.
    Normal(f64),
    /// All the same.
    Constant(f64),
    /// Evenly spaced, both ends included.
    Spaced(f64, f64),
}

/// One weight.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameter {
    /// The name in Hugging Face files.
    pub name: String,
    /// The sizes; matrices are [out, in].
    pub sizes: Vec<usize>,
    /// What it is to the optimizer.
    pub role: Role,
    /// How it starts.
    pub initial: Initial,
}

/// Weights of one xLSTM block, in the order of [`list`].
pub const XLSTM_BLOCK: usize = 15;
/// Weights of one Transformer block without biases, in the order of [`list`].
const TRANSFORMER_BLOCK: usize = 9;

/// How many weights a block has.
pub fn of_block(model: &ModelConfiguration) -> usize {
    match model.architecture {
        Architecture::Xlstm => XLSTM_BLOCK,
        Architecture::Transformer => {
            TRANSFORMER_BLOCK + if model.attention_bias { 4 } else { 0 } + if model.mlp_bias { 3 } else { 0 }
        }
    }
}

/// A linear layer's matrix and bias.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Linear<'a, T> {
    pub weight: &'a T,
    pub bias: Option<&'a T>,
}

/// The weights of a Transformer block by what they do.
pub(crate) struct TransformerBlock<'a, T> {
    pub norm: &'a T,
    pub query: Linear<'a, T>,
    pub key: Linear<'a, T>,
    pub value: Linear<'a, T>,
    pub out: Linear<'a, T>,
    pub norm_ffn: &'a T,
    pub gate: Linear<'a, T>,
    pub up: Linear<'a, T>,
    pub down: Linear<'a, T>,
}

impl<'a, T> TransformerBlock<'a, T> {
    /// Those of one block in the order of [`list`]; `None` if they are not as many as the model's blocks have.
    pub(crate) fn of(model: &ModelConfiguration, weights: &'a [T]) -> Option<Self> {
        let [norm, query, key, value, out, norm_ffn, gate, up, down, biases @ ..] = weights else { return None };
        if weights.len() != of_block(model) {
            return None;
        }
        let mut biases = biases.iter();
        let mut linear = |weight, biased: bool| Linear { weight, bias: if biased { biases.next() } else { None } };
        let [query, key, value, out] = [query, key, value, out].map(|weight| linear(weight, model.attention_bias));
        let [gate, up, down] = [gate, up, down].map(|weight| linear(weight, model.mlp_bias));
        Some(Self { norm, query, key, value, out, norm_ffn, gate, up, down })
    }
}

/// All weights of a model: embedding, blocks, final norm, and the head unless it is tied to the embedding.
///
/// Initialisation after xlstm-jax: "small", √(2/(5d)), for embedding, head and everything that reads the residual stream;
/// "wang", 2/(blocks·√d) for the xLSTM and 2/(2·blocks·√d) for the Transformer, for what writes to it; gate weights 0,
/// input-gate bias −10, forget-gate bias from 3 to 6 over the heads; norms 1. Biases of a Transformer start at 0, and stand
/// behind the other weights of their block.
pub fn list(model: &ModelConfiguration) -> Vec<Parameter> {
    let (width, vocabulary) = (model.embedding_dim, model.vocab_size);
    let small = Initial::Normal((2.0 / (5.0 * width as f64)).sqrt());
    let mut list = Vec::new();
    let mut add = |name: String, sizes: &[usize], role: Role, initial: Initial| {
        list.push(Parameter { name, sizes: sizes.to_vec(), role, initial });
    };
    let one = Initial::Constant(1.0);
    let inner = model.feed_forward_dim;
    let value = model.num_heads * model.v_head_dim;
    match model.architecture {
        Architecture::Xlstm => {
            let wang = Initial::Normal(2.0 / (model.num_blocks as f64 * (width as f64).sqrt()));
            let zero = Initial::Constant(0.0);
            let (heads, qk) = (model.num_heads, model.num_heads * model.qk_head_dim);
            add("backbone.embeddings.weight".into(), &[vocabulary, width], Role::Embedding, small);
            for block in 0..model.num_blocks {
                let mut add = |name: &str, sizes: &[usize], role, initial| {
                    add(format!("backbone.blocks.{block}.{name}"), sizes, role, initial);
                };
                add("norm_mlstm.weight", &[width], Role::Norm, one);
                add("mlstm_layer.q.weight", &[qk, width], Role::Matrix, small);
                add("mlstm_layer.k.weight", &[qk, width], Role::Matrix, small);
                add("mlstm_layer.v.weight", &[value, width], Role::Matrix, small);
                add("mlstm_layer.ogate_preact.weight", &[value, width], Role::Matrix, zero);
                add("mlstm_layer.igate_preact.weight", &[heads, width], Role::Matrix, zero);
                add("mlstm_layer.igate_preact.bias", &[heads], Role::Bias, Initial::Constant(-10.0));
                add("mlstm_layer.fgate_preact.weight", &[heads, width], Role::Matrix, zero);
                add("mlstm_layer.fgate_preact.bias", &[heads], Role::Bias, Initial::Spaced(3.0, 6.0));
                add("mlstm_layer.multihead_norm.weight", &[value], Role::Norm, one);
                add("mlstm_layer.out_proj.weight", &[width, value], Role::Matrix, wang);
                add("norm_ffn.weight", &[width], Role::Norm, one);
                add("ffn.proj_up_gate.weight", &[inner, width], Role::Matrix, small);
                add("ffn.proj_up.weight", &[inner, width], Role::Matrix, small);
                add("ffn.proj_down.weight", &[width, inner], Role::Matrix, wang);
            }
            add("backbone.out_norm.weight".into(), &[width], Role::Norm, one);
        }
        Architecture::Transformer => {
            let wang = Initial::Normal(1.0 / (model.num_blocks as f64 * (width as f64).sqrt()));
            let query = model.num_heads * model.qk_head_dim;
            let groups = model.num_key_value_heads;
            add("model.embed_tokens.weight".into(), &[vocabulary, width], Role::Embedding, small);
            for block in 0..model.num_blocks {
                let mut add = |name: &str, sizes: &[usize], role, initial| {
                    add(format!("model.layers.{block}.{name}"), sizes, role, initial);
                };
                add("input_layernorm.weight", &[width], Role::Norm, one);
                add("self_attn.q_proj.weight", &[query, width], Role::Matrix, small);
                add("self_attn.k_proj.weight", &[groups * model.qk_head_dim, width], Role::Matrix, small);
                add("self_attn.v_proj.weight", &[groups * model.v_head_dim, width], Role::Matrix, small);
                add("self_attn.o_proj.weight", &[width, value], Role::Matrix, wang);
                add("post_attention_layernorm.weight", &[width], Role::Norm, one);
                add("mlp.gate_proj.weight", &[inner, width], Role::Matrix, small);
                add("mlp.up_proj.weight", &[inner, width], Role::Matrix, small);
                add("mlp.down_proj.weight", &[width, inner], Role::Matrix, wang);
                let mut bias = |name: &str, size: usize| add(name, &[size], Role::Bias, Initial::Constant(0.0));
                if model.attention_bias {
                    bias("self_attn.q_proj.bias", query);
                    bias("self_attn.k_proj.bias", groups * model.qk_head_dim);
                    bias("self_attn.v_proj.bias", groups * model.v_head_dim);
                    bias("self_attn.o_proj.bias", width);
                }
                if model.mlp_bias {
                    bias("mlp.gate_proj.bias", inner);
                    bias("mlp.up_proj.bias", inner);
                    bias("mlp.down_proj.bias", width);
                }
            }
            add("model.norm.weight".into(), &[width], Role::Norm, one);
        }
    }
    if !model.tie_word_embeddings {
        add("lm_head.weight".into(), &[vocabulary, width], Role::Matrix, small);
    }
    list
}

/// Starts all weights of a list on a device. The same seed gives the same weights.
///
/// # Errors
/// An allocation that the device refuses.
pub fn initialise(list: &[Parameter], device: &Device, seed: u64) -> Result<Vec<Tensor>> {
    let mut random = SmallRng::seed_from_u64(seed);
    let start = |parameter: &Parameter| {
        let count: usize = parameter.sizes.iter().product();
        let values: Vec<f32> = match parameter.initial {
            Initial::Constant(value) => vec![value as f32; count],
            Initial::Spaced(first, last) => {
                let step = (last - first) / (count.max(2) - 1) as f64;
                (0..count).map(|at| (first + step * at as f64) as f32).collect()
            }
            Initial::Normal(deviation) => normals(&mut random, count, deviation),
        };
        // A device that has no buffer so large says so; which weight it is, is known here.
        Tensor::new(device, &parameter.sizes, &values).map_err(|error| match error {
            Error::Limit { operation, message } => Error::limit(operation, format!("{}: {message}", parameter.name)),
            other => other,
        })
    };
    Ok(list.iter().map(start).collect::<gradus_engine::Result<_>>()?)
}

/// Normal numbers, two from each pair of uniform ones (Box and Muller).
fn normals(random: &mut SmallRng, count: usize, deviation: f64) -> Vec<f32> {
    let mut values = Vec::with_capacity(count + 1);
    while values.len() < count {
        let (u, v): (f64, f64) = (random.random(), random.random());
        let radius = deviation * (-2.0 * (1.0 - u).ln()).sqrt();
        let (sine, cosine) = (std::f64::consts::TAU * v).sin_cos();
        values.extend([(radius * cosine) as f32, (radius * sine) as f32]);
    }
    values.truncate(count);
    values
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configuration::presets;

    #[test]
    fn the_list_has_as_many_parameters_as_are_counted() {
        let presets = presets::names().map(|name| presets::find(name).unwrap().model);
        let biased = [(true, false), (false, true), (true, true)].map(|(attention_bias, mlp_bias)| {
            let llama = presets::find("llama-small").unwrap().model;
            ModelConfiguration { num_key_value_heads: 2, attention_bias, mlp_bias, ..llama }
        });
        for model in presets.chain(biased) {
            let listed: u64 = list(&model).iter().map(|p| p.sizes.iter().product::<usize>() as u64).sum();
            assert_eq!(listed, model.parameters().total(), "{model:?}");
            let around = if model.tie_word_embeddings { 2 } else { 3 };
            assert_eq!(list(&model).len(), model.num_blocks * of_block(&model) + around, "{model:?}");
        }
    }

    #[test]
    fn weights_start_as_stated() {
        let model = presets::find("xlstm-tiny").unwrap().model;
        let list = list(&model);
        let weights = initialise(&list, &Device::cpu(), 1).unwrap();
        for (parameter, tensor) in list.iter().zip(&weights) {
            let values = tensor.to_vec::<f32>().unwrap();
            match parameter.initial {
                Initial::Constant(value) => assert!(values.iter().all(|&x| x == value as f32)),
                Initial::Spaced(first, last) => {
                    assert_eq!((values[0], values[values.len() - 1]), (first as f32, last as f32));
                }
                Initial::Normal(deviation) => {
                    let square: f64 = values.iter().map(|&x| f64::from(x).powi(2)).sum();
                    let measured = (square / values.len() as f64).sqrt();
                    assert!((measured / deviation - 1.0).abs() < 0.05, "{}: {measured}", parameter.name);
                }
            }
        }
        let again = initialise(&list, &Device::cpu(), 1).unwrap();
        assert_eq!(weights[0].to_vec::<f32>().unwrap(), again[0].to_vec::<f32>().unwrap());
    }
}
