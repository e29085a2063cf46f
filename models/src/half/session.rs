//! What is kept for a batch of texts: states or caches, and the buffers that every step writes.

use gradus_engine::ops::decode::{Attention, Mlstm, parts_for};
use gradus_engine::ops::mlstm::chunk_size_for;
use gradus_engine::ops::rotary::RotaryTables;
use gradus_engine::{DType, Device, Spec, Tensor};

use super::HalfModel;
use crate::configuration::{Architecture, ModelConfiguration};
use crate::generate::Reader;
use crate::state::{Cache, Layer, Recurrent};
use crate::{Error, Result};

/// Tokens that are read at once, all texts together: enough for matrix units, and few enough that what a block makes of them
/// is small beside the weights.
const PIECE: usize = 8192;

/// A batch of texts, all at the same position.
#[derive(Debug)]
pub struct Session<'a> {
    pub(super) model: &'a HalfModel,
    pub(super) batch: usize,
    pub(super) layers: Vec<Layer>,
    /// How many tokens were read.
    pub(super) read: usize,
    capacity: usize,
    /// On the device: the position of the token that is computed or was last.
    pub(super) position: Tensor,
    pub(super) tables: Option<RotaryTables>,
    pub(super) room: Room,
}

/// The buffers of a step, all f32.
#[derive(Debug)]
pub(super) struct Room {
    /// [batch, embedding_dim]
    pub x: Tensor,
    pub projection: Tensor,
    /// Numerators of an mLSTM, parts of an attention.
    pub inner: Tensor,
    /// [batch, heads · v_head_dim]
    pub mixed: Tensor,
    /// [batch, feed_forward_dim]
    pub hidden: Tensor,
}

impl HalfModel {
    pub(super) fn mlstm(&self) -> Mlstm {
        let model = &self.configuration;
        Mlstm {
            heads: model.num_heads,
            qk_dim: model.qk_head_dim,
            v_dim: model.v_head_dim,
            gate_cap: model.gate_soft_cap,
            cell_epsilon: model.cell_eps,
            norm_epsilon: model.norm_eps,
        }
    }

    pub(super) fn attention(&self) -> Attention {
        let model = &self.configuration;
        Attention { heads: model.num_heads, kv_heads: model.num_key_value_heads, head_dim: model.qk_head_dim }
    }

    /// Positions a chunk of the mLSTM.
    pub(super) fn chunk_size(&self) -> usize {
        chunk_size_for(self.configuration.qk_head_dim, self.configuration.v_head_dim, DType::F16)
    }
}

/// Tokens of each text that are read at once, where a tensor may have `most_bytes`: then the largest tensor of a block fits, of
/// an xLSTM the states at the borders of chunks.
pub fn piece_tokens(model: &ModelConfiguration, batch: usize, most_bytes: u64) -> usize {
    // Gates and values of SwiGLU stand side by side, in f16, or where a bias is added in f32.
    let gated = if model.mlp_bias { 8 } else { 4 } * model.feed_forward_dim;
    let token = (4 * model.embedding_dim).max(gated) as u64;
    let by_tokens = usize::try_from(most_bytes / token).unwrap_or(usize::MAX).min(PIECE) / batch.max(1);
    let by_chunks = match model.architecture {
        Architecture::Transformer => usize::MAX,
        Architecture::Xlstm => {
            let (qk, v) = (model.qk_head_dim, model.v_head_dim);
            let border = (4 * batch * model.num_heads * (qk * v + qk + 2)) as u64;
            let borders = usize::try_from(most_bytes / border.max(1)).unwrap_or(usize::MAX);
            borders.saturating_sub(1).saturating_mul(chunk_size_for(qk, v, DType::F16))
        }
    };
    by_tokens.min(by_chunks).max(1)
}

impl<'a> Session<'a> {
    pub(super) fn new(model: &'a HalfModel, batch: usize, capacity: usize) -> Result<Self> {
        if batch == 0 || capacity == 0 {
            return Err(Error::Request("a session needs a text and room for a token".into()));
        }
        let sizes = &model.configuration;
        let device = Device::Gpu(model.gpu.clone());
        let zeros = |sizes: &[usize], dtype| Tensor::zeros(&device, Spec::new(sizes, dtype)?);
        let room = |sizes: &[usize]| Tensor::on_gpu(&model.gpu, "session", sizes, DType::F32);
        let (heads, qk, v) = (sizes.num_heads, sizes.qk_head_dim, sizes.v_head_dim);
        let layer = |_| -> Result<Layer> {
            Ok(match sizes.architecture {
                Architecture::Xlstm => Layer::Recurrent(Recurrent {
                    memory: zeros(&[batch, heads, qk, v], DType::F32)?,
                    normalizer: zeros(&[batch, heads, qk], DType::F32)?,
                    stabilizer: zeros(&[batch, heads], DType::F32)?,
                }),
                Architecture::Transformer => {
                    // Rows are written before they are read.
                    let rows = [batch, capacity, sizes.num_key_value_heads, qk];
                    let cache = || Tensor::on_gpu(&model.gpu, "cache", &rows, DType::F16);
                    Layer::Cache(Cache { key: cache()?, value: cache()? })
                }
            })
        };
        let (width, inner, tables) = match sizes.architecture {
            Architecture::Xlstm => (model.mlstm().width(), room(&[batch, heads * v])?, None),
            Architecture::Transformer => (
                model.attention().width(),
                room(&[batch, heads, parts_for(capacity), qk + 2])?,
                Some(RotaryTables::with_frequencies(sizes.rope_frequencies(), 0, capacity)?),
            ),
        };
        Ok(Self {
            model,
            batch,
            layers: (0..sizes.num_blocks).map(layer).collect::<Result<_>>()?,
            read: 0,
            capacity,
            position: Tensor::new(&device, &[1], &[u32::MAX])?,
            tables,
            room: Room {
                x: room(&[batch, sizes.embedding_dim])?,
                projection: room(&[batch, width])?,
                inner,
                mixed: room(&[batch, heads * v])?,
                hidden: room(&[batch, sizes.feed_forward_dim])?,
            },
        })
    }

    /// How many tokens of each text were read.
    pub fn position(&self) -> usize {
        self.read
    }

    /// Recurrent states by layer, for an xLSTM.
    pub fn recurrent(&self) -> impl Iterator<Item = &Recurrent> {
        self.layers.iter().filter_map(|layer| match layer {
            Layer::Recurrent(state) => Some(state),
            Layer::Cache(_) => None,
        })
    }

    /// Checks that there is room for `tokens` more.
    pub(super) fn room_for(&self, tokens: usize) -> Result<()> {
        let needed = self.read + tokens;
        if needed > self.capacity && self.model.configuration.architecture == Architecture::Transformer {
            let capacity = self.capacity;
            let message =
                format!("the key-value cache has room for {capacity} tokens, {needed} are needed; make it larger");
            return Err(Error::Request(message));
        }
        Ok(())
    }
}

impl Reader for Session<'_> {
    fn read(&mut self, texts: &[&[u32]]) -> Result<Tensor> {
        self.prefill(texts)
    }

    fn step(&mut self, tokens: &Tensor) -> Result<Tensor> {
        self.one(tokens)
    }
}
