//! Whole prompts, in pieces.

use gradus_engine::ops::attention::{AttentionOptions, attention_with};
use gradus_engine::ops::cast::cast;
use gradus_engine::ops::decode::embed;
use gradus_engine::ops::matmul::{linear_add, linear_rows};
use gradus_engine::ops::mlstm::{self, mlstm_with_state};
use gradus_engine::ops::norm::{multi_head_norm_gated, rms_norm_to};
use gradus_engine::ops::reshape::reshape;
use gradus_engine::ops::rotary::{RotaryTables, rotary_with};
use gradus_engine::ops::swiglu::swiglu_packed;
use gradus_engine::ops::unary::soft_cap;
use gradus_engine::tensor::copy_range;
use gradus_engine::{DType, Device, Precision, Tensor, Var};

use super::step::wrong_state;
use super::{Block, HalfModel, Mixer, MlstmWeights, Session, piece_tokens};
use crate::parameters::Linear;
use crate::state::{Cache, Layer, Recurrent};
use crate::transformer::{biased, project};
use crate::{Error, Result};

impl Session<'_> {
    /// Reads texts of one length and gives the logits [batch, vocab_size] of what follows. The logits of other positions are
    /// never made, and of a long text a piece after the other is on the device.
    pub(super) fn prefill(&mut self, texts: &[&[u32]]) -> Result<Tensor> {
        let length = texts.first().map_or(0, |text| text.len());
        if texts.len() != self.batch || length == 0 || texts.iter().any(|text| text.len() != length) {
            let batch = self.batch;
            return Err(Error::Request(format!("{batch} texts of one length, and not empty, must be read at once")));
        }
        self.room_for(length)?;
        let most = self.model.gpu.report().limits.max_storage_buffer_binding_size;
        let piece = piece_tokens(&self.model.configuration, self.batch, most);
        for first in (0..length).step_by(piece) {
            let end = length.min(first + piece);
            let columns: Vec<u32> = texts.iter().flat_map(|text| &text[first..end]).copied().collect();
            self.piece(&columns, end - first, end == length)?;
        }
        self.position.write(0, &[(self.read - 1) as u32])?;
        self.logits()
    }

    /// Reads `count` tokens of each text; of the last piece of a prompt the session keeps the last residual streams.
    fn piece(&mut self, tokens: &[u32], count: usize, last: bool) -> Result<()> {
        let HalfModel { configuration, gpu, embedding, blocks, .. } = self.model;
        let (batch, width) = (self.batch, configuration.embedding_dim);
        let device = Device::Gpu(gpu.clone());
        let mut x = Tensor::on_gpu(gpu, "prefill", &[batch, count, width], DType::F32)?;
        embed(embedding, &Tensor::new(&device, &[batch * count], tokens)?, &mut x, &mut self.position)?;
        let mut x = Var::constant(x);
        for (block, layer) in blocks.iter().zip(&mut self.layers) {
            let read = Read { model: self.model, position: self.read, tables: self.tables.as_ref() };
            x = read.block(block, layer, x)?;
        }
        self.read += count;
        if last {
            for text in 0..batch {
                let place = ((text + 1) * count - 1) * width;
                copy_range(&mut self.room.x, text * width, x.tensor(), place, width)?;
            }
        }
        Ok(())
    }
}

/// What a block needs to know beside its weights and its state.
struct Read<'a> {
    model: &'a HalfModel,
    position: usize,
    tables: Option<&'a RotaryTables>,
}

impl Read<'_> {
    /// A block, as in `xlstm.rs` and `transformer.rs` in mixed precision. x [batch, count, embedding_dim] is given up on the way.
    fn block(&self, weights: &Block, layer: &mut Layer, x: Var) -> Result<Var> {
        let Block { norm, projection, mixer, out, norm_ffn, up, down, biases } = weights;
        let model = &self.model.configuration;
        let normed = rms_norm_to(&x, &norm.clone().into(), model.norm_eps, Precision::Half)?;
        let (mixed, out_bias) = match (mixer, layer) {
            (Mixer::Mlstm(own), Layer::Recurrent(state)) => (self.mlstm((projection, own), state, normed)?, None),
            (Mixer::Attention(biases), Layer::Cache(cache)) => {
                let biases = biases.as_deref();
                let parts = biases.map(|biases| &biases.parts);
                (self.attention((projection, parts), cache, normed)?, biases.map(|biases| &biases.out))
            }
            _ => return Err(wrong_state()),
        };
        let x = add_product(&mixed, (out, out_bias), &x)?;
        drop(mixed);
        let normed = rms_norm_to(&x, &norm_ffn.clone().into(), model.norm_eps, Precision::Half)?;
        let (up_bias, down_bias) = (biases.as_ref().map(|both| &both.up), biases.as_ref().map(|both| &both.down));
        let up_bias = up_bias.cloned().map(Var::constant);
        let up = Linear { weight: &up.clone().into(), bias: up_bias.as_ref() };
        let hidden = swiglu_packed(&project(&normed, up, Precision::Half)?)?;
        add_product(&hidden, (down, down_bias), &x)
    }

    fn mlstm(&self, (projection, own): (&Tensor, &MlstmWeights), state: &mut Recurrent, normed: Var) -> Result<Var> {
        let MlstmWeights { input_bias, forget_bias, head_norm, .. } = own;
        let model = &self.model.configuration;
        let (batch, count) = (normed.sizes()[0], normed.sizes()[1]);
        let heads = model.num_heads;
        let (qk, v) = (heads * model.qk_head_dim, heads * model.v_head_dim);
        let rows = |first, rows, bias, precision| {
            linear_rows(normed.tensor(), projection, first..first + rows, bias, precision).map(Var::constant)
        };
        let of_heads = |first, head_dim| {
            reshape(&rows(first, heads * head_dim, None, Precision::Half)?, &[batch, count, heads, head_dim])
        };
        let gate = |first, bias| soft_cap(&rows(first, heads, Some(bias), Precision::Full)?, model.gate_soft_cap);
        let query = of_heads(0, model.qk_head_dim)?;
        let key = of_heads(qk, model.qk_head_dim)?;
        let value = of_heads(2 * qk, model.v_head_dim)?;
        let input_gate = gate(2 * (qk + v), input_bias)?;
        let forget_gate = gate(2 * (qk + v) + heads, forget_bias)?;
        let before = mlstm::State {
            memory: state.memory.clone().into(),
            normalizer: state.normalizer.clone().into(),
            stabilizer: state.stabilizer.clone().into(),
        };
        let options =
            mlstm::Options { chunk_size: self.model.chunk_size(), epsilon: model.cell_eps, ..Default::default() };
        let (h, after) = mlstm_with_state(&query, &key, &value, &input_gate, &forget_gate, &before, options)?;
        *state = Recurrent {
            memory: after.memory.into_tensor(),
            normalizer: after.normalizer.into_tensor(),
            stabilizer: after.stabilizer.into_tensor(),
        };
        drop((query, key, value));
        let output_gate = rows(2 * qk + v, v, None, Precision::Half)?;
        Ok(multi_head_norm_gated(&h, &head_norm.clone().into(), &output_gate, model.norm_eps)?)
    }

    fn attention(
        &self,
        (projection, biases): (&Tensor, Option<&[Tensor; 3]>),
        cache: &mut Cache,
        normed: Var,
    ) -> Result<Var> {
        let model = &self.model.configuration;
        let (batch, count) = (normed.sizes()[0], normed.sizes()[1]);
        let (heads, groups, head_dim) = (model.num_heads, model.num_key_value_heads, model.qk_head_dim);
        let Some(tables) = self.tables else { return Err(wrong_state()) };
        let of_heads = |first: usize, heads: usize, place: usize| {
            let rows = first * head_dim..(first + heads) * head_dim;
            let part: Var = match biases {
                None => linear_rows(normed.tensor(), projection, rows, None, Precision::Half)?.into(),
                Some(biases) => {
                    let sum = linear_rows(normed.tensor(), projection, rows, Some(&biases[place]), Precision::Full)?;
                    cast(&sum.into(), DType::F16)?
                }
            };
            reshape(&part, &[batch, count, heads, head_dim])
        };
        let turn = |x: Var| rotary_with(&x, tables, self.position);
        let query = turn(of_heads(0, heads, 0)?)?;
        Cache::append(&mut cache.key, self.position, turn(of_heads(heads, groups, 1)?)?.tensor())?;
        Cache::append(&mut cache.value, self.position, of_heads(heads + groups, groups, 2)?.tensor())?;
        let (keys, values) = (cache.key.clone().into(), cache.value.clone().into());
        let options = AttentionOptions { key_length: Some(self.position + count) };
        let mixed = attention_with(options, &query, &keys, &values)?;
        Ok(reshape(&mixed, &[batch, count, heads * head_dim])?)
    }
}

/// x · weightᵀ, plus a bias if there is one, added to the residual stream.
fn add_product(x: &Var, (weight, bias): (&Tensor, Option<&Tensor>), residual: &Var) -> Result<Var> {
    let (weight, bias) = (weight.clone().into(), bias.cloned().map(Var::constant));
    let layer = Linear { weight: &weight, bias: bias.as_ref() };
    Ok(linear_add(x, layer.weight, &biased(residual, layer)?)?)
}
