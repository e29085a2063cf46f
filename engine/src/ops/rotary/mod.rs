//! Rotary position embedding, in the half rotation of Hugging Face's models.
//!
//! For x [B, S, H, D], position p = first_position + s and j < D/2, with the angle φ = p · θ^(−2j/D), or p times any other
//! frequency of the tables:
//!
//! y[j] = x[j] · cos φ − x[j + D/2] · sin φ
//! y[j + D/2] = x[j + D/2] · cos φ + x[j] · sin φ
//!
//! The gradient is the rotation back: dx is dy rotated by −φ. An f16 x, on a GPU that has it, gives an f16 y; tables and
//! arithmetic are f32.

pub(crate) mod cases;
mod cpu;
mod definition;
mod gpu;
mod tables;
#[cfg(test)]
mod tests;

pub use tables::RotaryTables;

use crate::DType;
use crate::definition::{Array, Defined};
use crate::device::Gpu;
use crate::error::{Error, Result};
use crate::operation::{Context, Forward, Operation, Saves};
use crate::tape::{Var, apply_one};
use crate::tensor::{Spec, Tensor};

/// Rotates `x` [batch, sequence, heads, head_dim] by its positions, which start at `first_position`. Makes the tables for
/// this call alone; [`rotary_with`] uses tables that are made once.
///
/// # Errors
/// Another number of dimensions, an odd head_dim, a type other than a float's, f16 on the CPU, or what [`RotaryTables::new`] refuses.
pub fn rotary(x: &Var, theta: f32, first_position: usize) -> Result<Var> {
    let &[_, sequence, _, head_dim] = x.sizes() else { return Err(wrong_rank(x.tensor().shape())) };
    rotary_with(x, &RotaryTables::new(theta, head_dim, first_position, sequence)?, first_position)
}

/// Rotates `x` [batch, sequence, heads, head_dim] by positions from `first_position` on, looked up in `tables`.
///
/// # Errors
/// As [`rotary`]; tables for another head_dim or without some of the positions.
pub fn rotary_with(x: &Var, tables: &RotaryTables, first_position: usize) -> Result<Var> {
    apply_one(Rotary { tables: tables.clone(), first_position }, &[x])
}

fn wrong_rank(shape: &crate::Shape) -> Error {
    Error::shape("rotary", format!("takes [batch, sequence, heads, head_dim], got {shape:?}"))
}

/// The rotation; see the module.
#[derive(Debug, Clone)]
pub struct Rotary {
    /// Cosines and sines.
    pub tables: RotaryTables,
    /// The position of the first row of the sequence.
    pub first_position: usize,
}

/// By +φ or by −φ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Forward,
    Backward,
}

impl Rotary {
    /// The row of the tables for the first position.
    fn first_row(&self) -> usize {
        self.first_position - self.tables.positions().start
    }
}

impl Forward for Rotary {
    fn name(&self) -> &'static str {
        "rotary"
    }

    fn outputs(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        let [x] = inputs else {
            return Err(Error::shape("rotary", format!("takes one input, got {}", inputs.len())));
        };
        let &[_, sequence, _, head_dim] = x.shape.sizes() else { return Err(wrong_rank(&x.shape)) };
        if x.dtype == DType::U32 {
            return Err(Error::dtype("rotary", format!("takes floats, got {}", x.dtype)));
        }
        let held = self.tables.positions();
        let end = self.first_position.saturating_add(sequence);
        if head_dim != self.tables.head_dim() || self.first_position < held.start || end > held.end {
            return Err(Error::shape(
                "rotary",
                format!(
                    "tables of {:?} do not serve {:?} at positions {}..{end}; make them for this head_dim and length",
                    self.tables, x.shape, self.first_position
                ),
            ));
        }
        Ok(vec![*x])
    }

    fn forward_cpu(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        Ok(vec![cpu::rotate(self, inputs[0], Direction::Forward)?])
    }

    fn forward_gpu(&self, gpu: &Gpu, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        Ok(vec![gpu::rotate(self, gpu, inputs[0], Direction::Forward)?])
    }

    fn definition(&self, inputs: &[Array]) -> Vec<Defined> {
        definition::define(self, &inputs[0])
    }
}

impl Operation for Rotary {
    fn saves(&self) -> Saves {
        Saves::default()
    }

    fn backward_cpu(&self, context: &Context) -> Result<Vec<Option<Tensor>>> {
        Ok(vec![Some(cpu::rotate(self, context.d_output(0)?, Direction::Backward)?)])
    }

    fn backward_gpu(&self, gpu: &Gpu, context: &Context) -> Result<Vec<Option<Tensor>>> {
        Ok(vec![Some(gpu::rotate(self, gpu, context.d_output(0)?, Direction::Backward)?)])
    }
}
