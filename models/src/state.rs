//! What a model remembers of the tokens it has read: recurrent states or a key-value cache, a layer each.

use gradus_engine::tensor::copy_range;
use gradus_engine::{DType, Device, Spec, Tensor};

use crate::configuration::{Architecture, ModelConfiguration};
use crate::{Error, Result};

/// The memory of one mLSTM layer. Its size does not depend on how much was read.
#[derive(Debug)]
pub struct Recurrent {
    /// C [batch, heads, qk_head_dim, v_head_dim]
    pub memory: Tensor,
    /// n [batch, heads, qk_head_dim]
    pub normalizer: Tensor,
    /// m [batch, heads]
    pub stabilizer: Tensor,
}

/// The keys and values of one attention layer, with room for more.
#[derive(Debug)]
pub struct Cache {
    /// [batch, capacity, key-value heads, head_dim]
    pub key: Tensor,
    /// [batch, capacity, key-value heads, head_dim]
    pub value: Tensor,
}

impl Cache {
    /// Writes rows [batch, tokens, heads, head_dim] behind the `position` rows that are there.
    pub(crate) fn append(cache: &mut Tensor, position: usize, rows: &Tensor) -> gradus_engine::Result<()> {
        let (batch, tokens, row) = (rows.sizes()[0], rows.sizes()[1], rows.sizes()[2] * rows.sizes()[3]);
        let capacity = cache.sizes()[1];
        for sequence in 0..batch {
            let first = (sequence * capacity + position) * row;
            copy_range(cache, first, rows, sequence * tokens * row, tokens * row)?;
        }
        Ok(())
    }
}

/// The memory of one layer.
#[derive(Debug)]
pub enum Layer {
    /// An mLSTM's.
    Recurrent(Recurrent),
    /// An attention's.
    Cache(Cache),
}

/// The memory of a model for a batch of sequences, all of the same length.
#[derive(Debug)]
pub struct State {
    pub(crate) layers: Vec<Layer>,
    position: usize,
    capacity: Option<usize>,
}

impl State {
    /// Nothing read yet. A Transformer can read up to `capacity` tokens; an xLSTM any number.
    ///
    /// # Errors
    /// An allocation that the device refuses.
    pub fn new(model: &ModelConfiguration, device: &Device, batch: usize, capacity: usize) -> Result<Self> {
        let zeros = |sizes: &[usize]| Tensor::zeros(device, Spec::new(sizes, DType::F32)?);
        let layer = |_| -> Result<Layer> {
            let (heads, qk, v) = (model.num_heads, model.qk_head_dim, model.v_head_dim);
            Ok(match model.architecture {
                Architecture::Xlstm => Layer::Recurrent(Recurrent {
                    memory: zeros(&[batch, heads, qk, v])?,
                    normalizer: zeros(&[batch, heads, qk])?,
                    stabilizer: zeros(&[batch, heads])?,
                }),
                Architecture::Transformer => {
                    let sizes = [batch, capacity, model.num_key_value_heads, qk];
                    Layer::Cache(Cache { key: zeros(&sizes)?, value: zeros(&sizes)? })
                }
            })
        };
        let capacity = (model.architecture == Architecture::Transformer).then_some(capacity);
        Ok(Self { layers: (0..model.num_blocks).map(layer).collect::<Result<_>>()?, position: 0, capacity })
    }

    /// How many tokens were read.
    pub fn position(&self) -> usize {
        self.position
    }

    /// Notes that `tokens` more were read.
    pub(crate) fn advance(&mut self, tokens: usize) {
        self.position += tokens;
    }

    /// Checks that there is room for `tokens` more.
    pub(crate) fn room_for(&self, tokens: usize) -> Result<()> {
        match self.capacity {
            Some(capacity) if self.position + tokens > capacity => Err(Error::Request(format!(
                "the key-value cache has room for {capacity} tokens, {} are needed; make it larger",
                self.position + tokens
            ))),
            _ => Ok(()),
        }
    }

    /// Recurrent states by layer, for an xLSTM.
    pub fn recurrent(&self) -> impl Iterator<Item = &Recurrent> {
        self.layers.iter().filter_map(|layer| match layer {
            Layer::Recurrent(state) => Some(state),
            Layer::Cache(_) => None,
        })
    }
}
