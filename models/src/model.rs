//! A model: configuration and weights, its loss and its logits.

use gradus_engine::ops::linear_cross_entropy::linear_cross_entropy;
use gradus_engine::ops::matmul::linear;
use gradus_engine::ops::unary::soft_cap;
use gradus_engine::tensor::copy_range;
use gradus_engine::{DType, Device, Precision, Spec, Tensor, Var};

use crate::configuration::{Architecture, ModelConfiguration};
use crate::documents::Documents;
use crate::parameters::{self, Parameter};
use crate::pass::Pass;
use crate::state::State;
use crate::{Error, Result, transformer, xlstm};

/// Tokens of a long text that are computed at once.
const TEXT_PIECE: usize = 4096;
/// Logits that are on the device at once, in bytes: within every adapter's limit for a buffer.
const LOGITS_BYTES: usize = 64 << 20;

/// A model on a device.
#[derive(Debug)]
pub struct Model {
    configuration: ModelConfiguration,
    parameters: Vec<Parameter>,
    pass: Pass,
    /// The weights, in the order of [`Model::parameters`].
    pub weights: Vec<Tensor>,
}

impl Model {
    /// A model with fresh weights.
    ///
    /// # Errors
    /// A configuration that no model can have; an allocation that the device refuses.
    pub fn new(configuration: ModelConfiguration, device: &Device, seed: u64) -> Result<Self> {
        configuration.validate()?;
        let parameters = parameters::list(&configuration);
        let weights = parameters::initialise(&parameters, device, seed)?;
        Ok(Self { configuration, parameters, pass: Pass::PLAIN, weights })
    }

    /// A model with given weights.
    ///
    /// # Errors
    /// Weights whose number or shapes are not those of [`parameters::list`].
    pub fn with_weights(configuration: ModelConfiguration, weights: Vec<Tensor>) -> Result<Self> {
        configuration.validate()?;
        let parameters = parameters::list(&configuration);
        if weights.len() != parameters.len() {
            let message = format!("the model has {} weights, {} were given", parameters.len(), weights.len());
            return Err(Error::Request(message));
        }
        for (parameter, tensor) in parameters.iter().zip(&weights) {
            if tensor.sizes() != parameter.sizes || tensor.dtype() != DType::F32 {
                let message = format!("{}: expected f32 {:?}, got {tensor:?}", parameter.name, parameter.sizes);
                return Err(Error::Request(message));
            }
        }
        Ok(Self { configuration, parameters, pass: Pass::PLAIN, weights })
    }

    /// The same model that computes whole sequences in this precision: half is mixed precision, for a GPU with f16. Weights and
    /// what runs from a state stay f32.
    ///
    /// # Errors
    /// Mixed precision on a device without f16.
    pub fn in_precision(self, precision: Precision) -> Result<Self> {
        if precision == Precision::Half {
            let why = match self.device() {
                Device::Cpu(_) => Some("the CPU only stores f16".to_owned()),
                Device::Gpu(gpu) if !gpu.report().shader_f16 => Some(format!("{} has no f16", gpu.report().name)),
                Device::Gpu(_) => None,
            };
            if let Some(why) = why {
                return Err(Error::Request(format!(
                    "mixed precision needs a GPU with SHADER_F16, and {why}; take f32"
                )));
            }
        }
        Ok(Self { pass: Pass { precision, ..self.pass }, ..self })
    }

    /// The same model of which a tape keeps the blocks' inputs alone if `checkpointing`; see [`Pass::checkpointing`].
    pub fn with_gradient_checkpointing(self, checkpointing: bool) -> Self {
        Self { pass: Pass { checkpointing, ..self.pass }, ..self }
    }

    /// What the model is.
    pub fn configuration(&self) -> &ModelConfiguration {
        &self.configuration
    }

    /// The weights' names, shapes and roles.
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// The device of the weights.
    pub fn device(&self) -> Device {
        self.weights[0].device()
    }

    /// The weights as constants.
    pub fn constants(&self) -> Vec<Var> {
        self.weights.iter().cloned().map(Var::constant).collect()
    }

    /// The last hidden states [batch, sequence, embedding_dim] of tokens [batch, sequence] (u32), after the final norm.
    /// `weights` are the model's as constants or as leaves of a tape. With a state, goes on from it, in f32; without one the
    /// hidden states are f16 in mixed precision.
    ///
    /// # Errors
    /// What the operations meet; a state without room.
    pub fn hidden(&self, weights: &[Var], tokens: &Tensor, state: Option<&mut State>) -> Result<Var> {
        self.hidden_within(weights, tokens, None, state)
    }

    fn hidden_within(
        &self,
        weights: &[Var],
        tokens: &Tensor,
        documents: Option<&Documents>,
        state: Option<&mut State>,
    ) -> Result<Var> {
        let &[_, sequence] = tokens.sizes() else {
            return Err(Error::Request(format!("tokens must be [batch, sequence], they are {:?}", tokens.shape())));
        };
        let tokens = Var::constant(tokens.clone());
        let forward = match self.configuration.architecture {
            Architecture::Xlstm => xlstm::forward,
            Architecture::Transformer => transformer::forward,
        };
        match state {
            None => Ok(forward(&self.configuration, weights, &tokens, self.pass, documents, None)?),
            Some(state) => {
                state.room_for(sequence)?;
                let hidden = forward(&self.configuration, weights, &tokens, Pass::PLAIN, None, Some(state))?;
                state.advance(sequence);
                Ok(hidden)
            }
        }
    }

    fn head<'a>(&self, weights: &'a [Var]) -> &'a Var {
        if self.configuration.tie_word_embeddings { &weights[0] } else { &weights[weights.len() - 1] }
    }

    /// The mean cross entropy, in nats a token, of predicting `targets` from `tokens`, both [batch, sequence] (u32).
    /// Targets of `u32::MAX` do not count.
    ///
    /// # Errors
    /// What the operations meet.
    pub fn loss(&self, weights: &[Var], tokens: &Tensor, targets: &Tensor) -> Result<Var> {
        self.loss_within(weights, tokens, targets, None)
    }

    /// The same, where tokens see those of their own document alone.
    ///
    /// # Errors
    /// As [`Self::loss`]; documents of other shapes.
    pub fn loss_within(
        &self,
        weights: &[Var],
        tokens: &Tensor,
        targets: &Tensor,
        documents: Option<&Documents>,
    ) -> Result<Var> {
        let hidden = self.hidden_within(weights, tokens, documents, None)?;
        let targets = Var::constant(targets.clone());
        let cap = self.configuration.output_logit_soft_cap;
        Ok(linear_cross_entropy(&hidden, self.head(weights), &targets, cap)?)
    }

    /// The logits [batch, sequence, vocab_size] of tokens [batch, sequence].
    ///
    /// # Errors
    /// What the operations meet.
    pub fn logits(&self, tokens: &Tensor, state: Option<&mut State>) -> Result<Tensor> {
        let weights = self.constants();
        let hidden = self.hidden(&weights, tokens, state)?;
        self.project(&weights, &hidden)
    }

    /// Reads tokens [batch, sequence] into a state.
    ///
    /// # Errors
    /// What the operations meet; a state without room.
    pub fn read(&self, tokens: &Tensor, state: &mut State) -> Result<()> {
        self.hidden(&self.constants(), tokens, Some(state)).map(drop)
    }

    /// The logits [sequence, vocab_size] of one text of any length, given to `emit` row after row in blocks of whole rows.
    /// Neither the text nor its logits are ever on the device as a whole.
    ///
    /// # Errors
    /// What the operations meet, and what `emit` gives.
    pub fn logits_in_blocks<E: From<Error>>(
        &self,
        tokens: &[u32],
        mut emit: impl FnMut(&[f32]) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        let device = self.device();
        let weights = self.constants();
        let width = self.configuration.embedding_dim;
        let rows = (LOGITS_BYTES / (4 * self.configuration.vocab_size)).max(1);
        let mut state = match tokens.len() > TEXT_PIECE {
            true => Some(State::new(&self.configuration, &device, 1, tokens.len())?),
            false => None,
        };
        for piece in tokens.chunks(TEXT_PIECE) {
            let piece = Tensor::new(&device, &[1, piece.len()], piece).map_err(Error::from)?;
            let hidden = self.hidden(&weights, &piece, state.as_mut())?;
            let count = hidden.sizes()[1];
            for first in (0..count).step_by(rows) {
                let taken = rows.min(count - first);
                let mut block =
                    Tensor::zeros(&device, Spec::new(&[taken, width], hidden.tensor().dtype()).map_err(Error::from)?)
                        .map_err(Error::from)?;
                copy_range(&mut block, 0, hidden.tensor(), first * width, taken * width).map_err(Error::from)?;
                emit(&self.project(&weights, &Var::constant(block))?.to_vec::<f32>().map_err(Error::from)?)?;
            }
        }
        Ok(())
    }

    /// The logits [batch, vocab_size] of the token that follows tokens [batch, sequence].
    ///
    /// # Errors
    /// What the operations meet; a state without room.
    pub fn next_logits(&self, tokens: &Tensor, state: &mut State) -> Result<Tensor> {
        let weights = self.constants();
        let hidden = self.hidden(&weights, tokens, Some(state))?;
        let &[batch, sequence, width] = hidden.sizes() else {
            return Err(Error::Request(format!("hidden states {:?} are not [batch, sequence, width]", hidden.sizes())));
        };
        let last = if sequence == 1 {
            hidden.tensor().reshaped(&[batch, width])?
        } else {
            let mut last = Tensor::zeros(&self.device(), Spec::new(&[batch, width], DType::F32)?)?;
            for row in 0..batch {
                copy_range(&mut last, row * width, hidden.tensor(), ((row + 1) * sequence - 1) * width, width)?;
            }
            last
        };
        self.project(&weights, &Var::constant(last))
    }

    fn project(&self, weights: &[Var], hidden: &Var) -> Result<Tensor> {
        let logits = linear(hidden, self.head(weights))?;
        let logits = match self.configuration.output_logit_soft_cap {
            Some(cap) => soft_cap(&logits, cap)?,
            None => logits,
        };
        Ok(logits.into_tensor())
    }
}
