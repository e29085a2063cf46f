//! One token of each text.

use gradus_engine::ops::decode::{Finish, Product, Recurrence, embed};
use gradus_engine::{DType, Tensor};

use super::{Block, HalfModel, Mixer, Session};
use crate::state::{Cache, Layer};
use crate::{Error, Result};

impl Session<'_> {
    /// Reads tokens [batch] (u32) and gives the logits [batch, vocab_size] of what follows.
    pub(super) fn one(&mut self, tokens: &Tensor) -> Result<Tensor> {
        if tokens.elements() != self.batch {
            return Err(Error::Request(format!("{} texts take a token each, got {tokens:?}", self.batch)));
        }
        self.room_for(1)?;
        let model = self.model;
        embed(&model.embedding, tokens, &mut self.room.x, &mut self.position)?;
        for place in 0..model.blocks.len() {
            self.block(place)?;
        }
        self.read += 1;
        self.logits()
    }

    fn block(&mut self, place: usize) -> Result<()> {
        let model = self.model;
        let Block { norm, projection, mixer, out, norm_ffn, up, down, biases } = &model.blocks[place];
        let epsilon = model.configuration.norm_eps;
        let room = &mut self.room;
        let attention = match mixer {
            Mixer::Attention(biases) => biases.as_deref(),
            Mixer::Mlstm(_) => None,
        };
        let bias = attention.map(|biases| &biases.projection);
        product((projection, bias), &room.x, Some((norm, epsilon)), Finish::Store, &mut room.projection)?;
        match (mixer, &mut self.layers[place]) {
            (Mixer::Mlstm(own), Layer::Recurrent(state)) => {
                let state = Recurrence {
                    memory: &mut state.memory,
                    normalizer: &mut state.normalizer,
                    stabilizer: &mut state.stabilizer,
                };
                let weights = (&own.gate_bias, &own.head_norm);
                model.mlstm().run(&room.projection, weights, state, &mut room.inner, &mut room.mixed)?;
            }
            (Mixer::Attention(_), Layer::Cache(Cache { key, value })) => {
                let Some(tables) = &self.tables else { return Err(wrong_state()) };
                let sizes = model.attention();
                sizes.rotate(&mut room.projection, tables, &self.position, key, value)?;
                let at = (&self.position, self.read + 1);
                sizes.run(&room.projection, (key, value), at, &mut room.inner, &mut room.mixed)?;
            }
            _ => return Err(wrong_state()),
        }
        product((out, attention.map(|biases| &biases.out)), &room.mixed, None, Finish::Add, &mut room.x)?;
        let (up_bias, down_bias) = (biases.as_ref().map(|both| &both.up), biases.as_ref().map(|both| &both.down));
        product((up, up_bias), &room.x, Some((norm_ffn, epsilon)), Finish::SwiGlu, &mut room.hidden)?;
        product((down, down_bias), &room.hidden, None, Finish::Add, &mut room.x)
    }

    /// The logits of the residual streams that the session holds.
    pub(super) fn logits(&self) -> Result<Tensor> {
        let HalfModel { configuration, gpu, out_norm, head, .. } = self.model;
        let finish = configuration.output_logit_soft_cap.map_or(Finish::Store, Finish::Cap);
        let mut logits = Tensor::on_gpu(gpu, "logits", &[self.batch, configuration.vocab_size], DType::F32)?;
        let normed = Some((out_norm, configuration.norm_eps));
        product((head, None), &self.room.x, normed, finish, &mut logits)?;
        Ok(logits)
    }
}

/// A product, plus a bias if there is one, into the whole of `y`.
fn product(
    (weight, bias): (&Tensor, Option<&Tensor>),
    x: &Tensor,
    normed: Option<(&Tensor, f64)>,
    finish: Finish,
    y: &mut Tensor,
) -> Result<()> {
    Ok(Product { weight, bias, x, normed, finish, first: 0 }.run(y)?)
}

pub(super) fn wrong_state() -> Error {
    Error::Request("the session is not of this model".into())
}
