//! Rows of a table by index: y[i] = table[ids[i]], and in the backward d_table[v] = Σ_{i: ids[i] = v} dy[i].
//!
//! Table [V, d], ids u32 of any shape, y the ids' shape with d behind it (so at most four dimensions of ids).
//!
//! The sum over equal ids runs in the order of i, on the CPU and on the GPU, without atomics: positions are sorted by id
//! first (a stable sort), then each row of the table adds up its own positions. Rows that no id names get zero.
//!
//! An id that is not below V is an error: at once on the CPU, on a GPU at the next read-back, whatever is read. Until then
//! such an id gives a row of NaN and adds to no gradient, so that the loss is NaN and the optimizer, which looks for that,
//! skips the step; no kernel reads or writes outside the table.

pub(crate) mod cases;
mod cpu;
mod definition;
mod gpu;
#[cfg(test)]
mod tests;

use crate::DType;
use crate::definition::{Array, Defined};
use crate::device::Gpu;
use crate::error::{Error, Result};
use crate::operation::{Context, Forward, Operation, Saves};
use crate::tape::{Var, apply_one};
use crate::tensor::{Spec, Tensor};

const NAME: &str = "embedding";

/// Rows of a table by index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Embedding;

/// `table[ids]`: table [V, d], ids u32 [..], result [.., d].
///
/// # Errors
/// A table that is not a matrix of f32 or f64; ids that are not u32 or have more than four dimensions; on the CPU an id
/// that is not below V. On a GPU such an id is an error of the next read-back (see the module's head).
pub fn embedding(table: &Var, ids: &Var) -> Result<Var> {
    apply_one(Embedding, &[table, ids])
}

impl Forward for Embedding {
    fn name(&self) -> &'static str {
        NAME
    }

    fn outputs(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        let [table, ids] = inputs else {
            return Err(Error::shape(NAME, format!("takes a table and ids, got {} inputs", inputs.len())));
        };
        if !matches!(table.dtype, DType::F32 | DType::F64) || ids.dtype != DType::U32 {
            return Err(Error::dtype(
                NAME,
                format!("takes an f32 or f64 table and u32 ids, got {} and {}", table.dtype, ids.dtype),
            ));
        }
        let [_, width] = table.shape.sizes() else {
            return Err(Error::shape(
                NAME,
                format!("the table must be [vocabulary, features], it is {:?}", table.shape),
            ));
        };
        let sizes: Vec<usize> = ids.shape.sizes().iter().copied().chain([*width]).collect();
        Ok(vec![Spec::new(&sizes, table.dtype)?])
    }

    fn forward_cpu(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        Ok(vec![cpu::forward(inputs[0], inputs[1])?])
    }

    fn forward_gpu(&self, gpu: &Gpu, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        Ok(vec![gpu::forward(gpu, inputs[0], inputs[1])?])
    }

    fn definition(&self, inputs: &[Array]) -> Vec<Defined> {
        definition::define(&inputs[0], &inputs[1])
    }
}

impl Operation for Embedding {
    fn saves(&self) -> Saves {
        Saves { inputs: &[1], outputs: &[] }
    }

    fn backward_cpu(&self, context: &Context) -> Result<Vec<Option<Tensor>>> {
        let table = &context.input_specs[0];
        let d_table =
            context.needs[0].then(|| cpu::backward(table, context.input(1)?, context.d_output(0)?)).transpose()?;
        Ok(vec![d_table, None])
    }

    fn backward_gpu(&self, gpu: &Gpu, context: &Context) -> Result<Vec<Option<Tensor>>> {
        let table = &context.input_specs[0];
        let d_table =
            context.needs[0].then(|| gpu::backward(gpu, table, context.input(1)?, context.d_output(0)?)).transpose()?;
        Ok(vec![d_table, None])
    }
}
