//! A model for inference on a GPU: weights, keys and values in f16, recurrent states, sums and the residual stream in f32.
//!
//! Matrices that read the same vector stand in one, by rows: query, key, value, output gate, input gate and forget gate of an
//! mLSTM layer; query, key and value of an attention; both first matrices of SwiGLU. So do a Transformer's biases, in f32. A
//! step of one token ([`step`]) is then 6 kernels a block for an xLSTM and 7 for a Transformer, whose time is that of reading
//! the weights. Prompts ([`prefill`]) are read in pieces in mixed precision, on matrix units where there are any; logits are
//! only ever made of the last position.

mod plan;
mod prefill;
mod session;
mod sources;
mod step;
#[cfg(test)]
mod tests;

use std::path::Path;

use gradus_engine::device::Gpu;
use gradus_engine::ops::decode::PACK;
use gradus_engine::{Device, Tensor};

use crate::configuration::{Architecture, ModelConfiguration};
use crate::generate::{Language, Reader};
use crate::model::Model;
use crate::parameters::{self, Parameter, TransformerBlock};
use crate::{Error, Result};

pub use plan::Plan;
pub use session::{Session, piece_tokens};
use sources::{OfFolder, OfModel, Random, Source};

/// A model whose weights are f16 on a GPU.
#[derive(Debug)]
pub struct HalfModel {
    configuration: ModelConfiguration,
    gpu: Gpu,
    /// f16 [vocab_size, embedding_dim]
    embedding: Tensor,
    blocks: Vec<Block>,
    /// f32 [embedding_dim]
    out_norm: Tensor,
    /// f16 [vocab_size, embedding_dim]; the embedding itself where they are tied.
    head: Tensor,
}

/// The weights of a block: matrices f16 [out, in], all else f32.
#[derive(Debug)]
struct Block {
    norm: Tensor,
    /// Query, key and value; of an mLSTM also output gate, input gate and forget gate.
    projection: Tensor,
    mixer: Mixer,
    out: Tensor,
    norm_ffn: Tensor,
    /// Gates, then values.
    up: Tensor,
    down: Tensor,
    /// Of the feed-forward layer.
    biases: Option<FeedForwardBiases>,
}

/// The biases of a feed-forward layer.
#[derive(Debug)]
struct FeedForwardBiases {
    /// Of the gates, then of the values.
    up: Tensor,
    down: Tensor,
}

/// What only one architecture has.
#[derive(Debug)]
enum Mixer {
    Mlstm(Box<MlstmWeights>),
    Attention(Option<Box<AttentionBiases>>),
}

/// The biases of an attention's projections.
#[derive(Debug)]
struct AttentionBiases {
    /// Of query, key and value in one.
    projection: Tensor,
    /// These three one by one, for whole prompts.
    parts: [Tensor; 3],
    out: Tensor,
}

/// What an mLSTM layer has beside its matrices.
#[derive(Debug)]
struct MlstmWeights {
    /// [2 · heads], of the input gate and of the forget gate, which are there alone too.
    gate_bias: Tensor,
    input_bias: Tensor,
    forget_bias: Tensor,
    head_norm: Tensor,
}

/// Checks that the kernels of a step can run a model of these sizes.
///
/// # Errors
/// The first size that is no multiple of what is read at once.
pub fn check(model: &ModelConfiguration) -> Result<()> {
    let transformer = model.architecture == Architecture::Transformer;
    let sizes = [
        ("embedding_dim", model.embedding_dim, PACK),
        ("feed_forward_dim", model.feed_forward_dim, PACK),
        ("num_heads · v_head_dim", model.num_heads * model.v_head_dim, PACK),
        ("v_head_dim", model.v_head_dim, if transformer { PACK } else { 4 }),
    ];
    match sizes.into_iter().find(|(_, size, factor)| !size.is_multiple_of(*factor)) {
        Some((name, size, factor)) => Err(Error::Request(format!(
            "with weights in f16 {name} must be a multiple of {factor}, it is {size}; take f32"
        ))),
        None => Ok(()),
    }
}

impl HalfModel {
    /// A model with random weights that are made on the device. The same seed gives the same ones.
    ///
    /// # Errors
    /// Sizes that [`check`] refuses; an allocation that the device refuses; a device that is no GPU with f16.
    pub fn random(configuration: ModelConfiguration, device: &Device, seed: u64) -> Result<Self> {
        let gpu = gpu_of(device)?;
        Self::build(configuration, &gpu, &mut Random::new(&gpu, seed))
    }

    /// The model of a folder, with its weights rounded to f16.
    ///
    /// # Errors
    /// As [`crate::folder::load`] and [`HalfModel::random`]; weights that f16 does not hold.
    pub fn load(folder: &Path, device: &Device) -> Result<Self> {
        let gpu = gpu_of(device)?;
        crate::folder::with_weights(folder, |configuration, weights| {
            Self::build(configuration, &gpu, &mut OfFolder::new(&gpu, weights))
        })
    }

    /// A model with the weights of another one, rounded to f16.
    ///
    /// # Errors
    /// As [`HalfModel::random`]; weights that f16 does not hold.
    pub fn of(model: &Model, device: &Device) -> Result<Self> {
        let gpu = gpu_of(device)?;
        Self::build(model.configuration().clone(), &gpu, &mut OfModel::new(&gpu, model))
    }

    fn build(configuration: ModelConfiguration, gpu: &Gpu, source: &mut dyn Source) -> Result<Self> {
        configuration.validate()?;
        check(&configuration)?;
        let list = parameters::list(&configuration);
        let of_block = parameters::of_block(&configuration);
        let embedding = source.half(&[&list[0]])?;
        let blocks = list[1..=configuration.num_blocks * of_block]
            .chunks(of_block)
            .map(|weights| match configuration.architecture {
                Architecture::Xlstm => Block::xlstm(weights, source),
                Architecture::Transformer => Block::transformer(&configuration, weights, source),
            })
            .collect::<Result<_>>()?;
        let behind = &list[1 + configuration.num_blocks * of_block..];
        let out_norm = source.full(&[&behind[0]])?;
        let head = behind.get(1).map_or_else(|| Ok(embedding.clone()), |head| source.half(&[head]))?;
        Ok(Self { configuration, gpu: gpu.clone(), embedding, blocks, out_norm, head })
    }

    /// A session for `batch` texts of up to `capacity` tokens.
    ///
    /// # Errors
    /// An allocation that the device refuses.
    pub fn session(&self, batch: usize, capacity: usize) -> Result<Session<'_>> {
        Session::new(self, batch, capacity)
    }
}

impl Block {
    fn xlstm(weights: &[Parameter], source: &mut dyn Source) -> Result<Self> {
        let [norm, q, k, v, o, i, i_bias, f, f_bias, head_norm, out, norm_ffn, up_gate, up, down] = weights else {
            return Err(not_a_block(weights));
        };
        Ok(Self {
            norm: source.full(&[norm])?,
            projection: source.half(&[q, k, v, o, i, f])?,
            mixer: Mixer::Mlstm(Box::new(MlstmWeights {
                gate_bias: source.full(&[i_bias, f_bias])?,
                input_bias: source.full(&[i_bias])?,
                forget_bias: source.full(&[f_bias])?,
                head_norm: source.full(&[head_norm])?,
            })),
            out: source.half(&[out])?,
            norm_ffn: source.full(&[norm_ffn])?,
            up: source.half(&[up_gate, up])?,
            down: source.half(&[down])?,
            biases: None,
        })
    }

    fn transformer(model: &ModelConfiguration, weights: &[Parameter], source: &mut dyn Source) -> Result<Self> {
        let Some(block) = TransformerBlock::of(model, weights) else { return Err(not_a_block(weights)) };
        let TransformerBlock { norm, query, key, value, out, norm_ffn, gate, up, down } = block;
        let attention = match (query.bias, key.bias, value.bias, out.bias) {
            (Some(query), Some(key), Some(value), Some(out)) => Some(Box::new(AttentionBiases {
                projection: source.full(&[query, key, value])?,
                parts: [source.full(&[query])?, source.full(&[key])?, source.full(&[value])?],
                out: source.full(&[out])?,
            })),
            _ => None,
        };
        let biases = match (gate.bias, up.bias, down.bias) {
            (Some(gate), Some(up), Some(down)) => {
                Some(FeedForwardBiases { up: source.full(&[gate, up])?, down: source.full(&[down])? })
            }
            _ => None,
        };
        Ok(Self {
            norm: source.full(&[norm])?,
            projection: source.half(&[query.weight, key.weight, value.weight])?,
            mixer: Mixer::Attention(attention),
            out: source.half(&[out.weight])?,
            norm_ffn: source.full(&[norm_ffn])?,
            up: source.half(&[gate.weight, up.weight])?,
            down: source.half(&[down.weight])?,
            biases,
        })
    }
}

fn not_a_block(weights: &[Parameter]) -> Error {
    Error::Request(format!("a block has no {} weights", weights.len()))
}

impl Language for HalfModel {
    fn configuration(&self) -> &ModelConfiguration {
        &self.configuration
    }

    fn device(&self) -> Device {
        Device::Gpu(self.gpu.clone())
    }

    fn begin(&self, batch: usize, capacity: usize) -> Result<Box<dyn Reader + '_>> {
        Ok(Box::new(self.session(batch, capacity)?))
    }
}

/// The GPU that a device is, if it computes with f16.
fn gpu_of(device: &Device) -> Result<Gpu> {
    let why = match device {
        Device::Cpu(_) => "the CPU only stores f16".to_owned(),
        Device::Gpu(gpu) if gpu.report().shader_f16 => return Ok(gpu.clone()),
        Device::Gpu(gpu) => format!("{} has no f16", gpu.report().name),
    };
    Err(Error::Request(format!("weights in f16 need a GPU with SHADER_F16, and {why}; take f32")))
}
