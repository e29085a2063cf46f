//! Causal attention with grouped queries.
//!
//! For query [B, Sq, Hq, D], key and value [B, Sk, Hkv, D], Hq a multiple of Hkv and Sk ≥ Sq, query head h reads kv head
//! h / (Hq / Hkv) and row t sees the keys j ≤ t + (Sk − Sq): the queries are the last Sq positions of the sequence. So one
//! operation serves training, reading a prompt, and single steps over a cache.
//!
//! s[t, j] = q[t] · k[j] / √D,  p[t, j] = exp(s[t, j] − lse[t]),  lse[t] = ln Σ_j exp(s[t, j]),  o[t] = Σ_j p[t, j] v[j]
//!
//! With δ[t] = do[t] · o[t] and ds[t, j] = p[t, j] (do[t] · v[j] − δ[t]) / √D the gradients are
//! dq[t] = Σ_j ds[t, j] k[j],  dk[j] = Σ_t ds[t, j] q[t],  dv[j] = Σ_t p[t, j] do[t],
//! where those of a key also sum over the query heads that read it. p is computed anew from lse, so that nothing of the
//! size Sq × Sk is ever kept.

pub(crate) mod cases;
mod cpu;
mod definition;
mod gpu;
mod sizes;
#[cfg(test)]
mod tests;
use crate::definition::{Array, Defined};
use crate::device::Gpu;
use crate::error::{Error, Result};
use crate::operation::{Context, Forward, Operation, Saves};
use crate::tape::{Var, apply_one};
use crate::tensor::{Spec, Tensor};
use sizes::Sizes;

/// Causal attention: `query` [batch, queries, heads, head_dim] over `key` and `value` [batch, keys, kv_heads, head_dim].
/// Gives [batch, queries, heads, head_dim].
///
/// # Errors
/// Shapes that do not fit each other, fewer keys than queries, heads that are no multiple of kv_heads, a head_dim over
/// 256, types other than f32 and f64.
pub fn attention(query: &Var, key: &Var, value: &Var) -> Result<Var> {
    attention_with(AttentionOptions::default(), query, key, value)
}

/// [`attention`] with options.
///
/// # Errors
/// As [`attention`]; a `key_length` that is less than the queries or more than the rows.
pub fn attention_with(options: AttentionOptions, query: &Var, key: &Var, value: &Var) -> Result<Var> {
    apply_one(Attention { options }, &[query, key, value])
}

/// What attention may be told.
#[derive(Debug, Clone, Copy, Default)]
pub struct AttentionOptions {
    /// How many rows of `key` and `value`, from the first on, are used: a cache has room for more. All if `None`. Rows
    /// after them are not read and have gradient 0.
    pub key_length: Option<usize>,
}

/// The operation; see the module.
#[derive(Debug, Clone, Copy, Default)]
pub struct Attention {
    /// The options.
    pub options: AttentionOptions,
}

impl Forward for Attention {
    fn name(&self) -> &'static str {
        "attention"
    }

    /// The output and lse [batch, heads, queries].
    fn outputs(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        let sizes = Sizes::new(self.options, inputs)?;
        Ok(vec![inputs[0], Spec::new(&[sizes.batch, sizes.heads, sizes.queries], inputs[0].dtype)?])
    }

    fn auxiliary(&self) -> usize {
        1
    }

    fn forward_cpu(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        cpu::forward(&self.sizes_of(inputs)?, inputs)
    }

    fn forward_gpu(&self, gpu: &Gpu, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        gpu::forward(&self.sizes_of(inputs)?, gpu, inputs)
    }

    fn definition(&self, inputs: &[Array]) -> Vec<Defined> {
        definition::define(self.options, inputs)
    }
}

impl Operation for Attention {
    fn saves(&self) -> Saves {
        Saves { inputs: &[0, 1, 2], outputs: &[0, 1] }
    }

    fn backward_cpu(&self, context: &Context) -> Result<Vec<Option<Tensor>>> {
        cpu::backward(&Sizes::new(self.options, context.input_specs)?, &Saved::of(context)?)
    }

    fn backward_gpu(&self, gpu: &Gpu, context: &Context) -> Result<Vec<Option<Tensor>>> {
        gpu::backward(&Sizes::new(self.options, context.input_specs)?, gpu, &Saved::of(context)?, context.needs)
    }
}

impl Attention {
    fn sizes_of(&self, inputs: &[&Tensor]) -> Result<Sizes> {
        Sizes::new(self.options, &inputs.iter().map(|tensor| tensor.spec()).collect::<Vec<_>>())
    }
}

/// What the backward reads.
struct Saved<'a> {
    query: &'a Tensor,
    key: &'a Tensor,
    value: &'a Tensor,
    output: &'a Tensor,
    lse: &'a Tensor,
    d_output: &'a Tensor,
}

impl<'a> Saved<'a> {
    fn of(context: &'a Context) -> Result<Self> {
        Ok(Self {
            query: context.input(0)?,
            key: context.input(1)?,
            value: context.input(2)?,
            output: context.output(0)?,
            lse: context.output(1)?,
            d_output: context.d_output(0)?,
        })
    }
}

fn refused(message: String) -> Error {
    Error::shape("attention", message)
}
