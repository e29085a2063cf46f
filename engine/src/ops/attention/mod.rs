//! Causal attention with grouped queries.
//!
//! For query [B, Sq, Hq, D], key and value [B, Sk, Hkv, D], Hq a multiple of Hkv and Sk ≥ Sq, query head h reads kv head
//! h / (Hq / Hkv) and row t sees the keys j ≤ t + (Sk − Sq): the queries are the last Sq positions of the sequence. So one
//! operation serves training, reading a prompt, and single steps over a cache. Where several documents follow each other
//! in a sequence, a fourth input gives the first key that each row sees, first_key [B, Sq]: any up to the row's last one,
//! in any order, so that it describes sliding windows as well.
//!
//! s[t, j] = q[t] · k[j] / √D,  m[t] = max_j s[t, j],  z[t] = Σ_j exp(s[t, j] − m[t]),
//! p[t, j] = exp(s[t, j] − m[t]) / z[t],  o[t] = Σ_j p[t, j] v[j]
//!
//! With δ[t] = do[t] · o[t] and ds[t, j] = p[t, j] (do[t] · v[j] − δ[t]) / √D the gradients are
//! dq[t] = Σ_j ds[t, j] k[j],  dk[j] = Σ_t ds[t, j] q[t],  dv[j] = Σ_t p[t, j] do[t],
//! where those of a key also sum over the query heads that read it. p is computed anew from m and z, so that nothing of
//! the size Sq × Sk is ever kept. The two are kept apart, not as lse = m + ln z: beside a large m the logarithm would be
//! rounded away.
//!
//! Scores may have any size that f32 holds. The backward computes them by the same products in the same order as the
//! forward, so that s − m is the same number both times. Where Σ_d |q[t, d] k[j, d]| of a pair that is seen is over 3.4e38,
//! the score overflows: then row t may be not a number, as it is for inputs that are not finite.
//!
//! In mixed precision, on a GPU, query, key, value, output and their gradients are f16; m and z stay f32, and so does all
//! arithmetic between loads and stores.

pub(crate) mod cases;
mod cpu;
mod definition;
pub mod documents;
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
pub use sizes::MOST_HEAD_DIM;
use sizes::Sizes;

/// Causal attention: `query` [batch, queries, heads, head_dim] over `key` and `value` [batch, keys, kv_heads, head_dim].
/// Gives [batch, queries, heads, head_dim].
///
/// # Errors
/// Shapes that do not fit each other, fewer keys than queries, heads that are no multiple of kv_heads, a head_dim over
/// 256; types that differ, or are none of f32, f64 and, on a GPU, f16.
pub fn attention(query: &Var, key: &Var, value: &Var) -> Result<Var> {
    attention_with(AttentionOptions::default(), query, key, value)
}

/// [`attention`] with options.
///
/// # Errors
/// As [`attention`]; a `key_length` that is less than the queries or more than the rows.
pub fn attention_with(options: AttentionOptions, query: &Var, key: &Var, value: &Var) -> Result<Var> {
    apply_one(Attention { options, documents: false }, &[query, key, value])
}

/// [`attention_with`] for documents that follow each other in a sequence: `first_key`, u32 [batch, queries], is the first
/// key that each query sees. [`documents::first_keys`] makes it from the starts of documents; any other, sliding windows
/// for instance, will do as well.
///
/// # Errors
/// As [`attention_with`]; a `first_key` of another shape or type, or one beyond the query's own last key, which is its
/// row + keys − queries: at once on the CPU, on a GPU at the next read-back (until then the query's row is not a number).
pub fn attention_documents(
    options: AttentionOptions,
    query: &Var,
    key: &Var,
    value: &Var,
    first_key: &Var,
) -> Result<Var> {
    apply_one(Attention { options, documents: true }, &[query, key, value, first_key])
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
    /// Whether there is a fourth input, the first key of each query.
    pub documents: bool,
}

impl Forward for Attention {
    fn name(&self) -> &'static str {
        "attention"
    }

    /// The output, and (m, z) of each row: [batch, heads, queries, 2], f32 beside f16.
    fn outputs(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        let sizes = Sizes::new(self, inputs)?;
        Ok(vec![inputs[0], Spec::new(&[sizes.batch, sizes.heads, sizes.queries, 2], sizes.computed())?])
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
        Saves { inputs: if self.documents { &[0, 1, 2, 3] } else { &[0, 1, 2] }, outputs: &[0, 1] }
    }

    fn backward_cpu(&self, context: &Context) -> Result<Vec<Option<Tensor>>> {
        cpu::backward(&Sizes::new(self, context.input_specs)?, &Saved::of(context)?)
    }

    fn backward_gpu(&self, gpu: &Gpu, context: &Context) -> Result<Vec<Option<Tensor>>> {
        gpu::backward(&Sizes::new(self, context.input_specs)?, gpu, &Saved::of(context)?, context.needs)
    }
}

impl Attention {
    fn sizes_of(&self, inputs: &[&Tensor]) -> Result<Sizes> {
        Sizes::new(self, &inputs.iter().map(|tensor| tensor.spec()).collect::<Vec<_>>())
    }
}

/// What the backward reads.
struct Saved<'a> {
    query: &'a Tensor,
    key: &'a Tensor,
    value: &'a Tensor,
    first_key: Option<&'a Tensor>,
    output: &'a Tensor,
    /// (m, z) of each row.
    normalizers: &'a Tensor,
    d_output: &'a Tensor,
}

impl<'a> Saved<'a> {
    fn of(context: &'a Context) -> Result<Self> {
        Ok(Self {
            query: context.input(0)?,
            key: context.input(1)?,
            value: context.input(2)?,
            first_key: context.inputs.get(3).and_then(Option::as_ref),
            output: context.output(0)?,
            normalizers: context.output(1)?,
            d_output: context.d_output(0)?,
        })
    }
}

fn refused(message: String) -> Error {
    Error::shape("attention", message)
}
