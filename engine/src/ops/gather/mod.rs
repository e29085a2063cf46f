//! Elements by index along one dimension, and slices by index.
//!
//! gather: y[.., i, ..] = x[.., index[.., i, ..], ..], where the index stands in dimension d. The index has x's rank, and in
//! every other dimension at most x's size; y has the index's shape.
//!
//! index_select: the same with one index [n] for all places: y is x with n slices instead of x's size in dimension d.
//!
//! The gradient adds up, dx[.., v, ..] = Σ dy[.., i, ..] over the i with index v, in the order of i and without atomics, so
//! every run gives the same bits. For that each element of dx reads all indices it could be named by: the cost is x's
//! elements times the indices along d. That is nothing for one index a row; for many rows of a large table `embedding` sorts
//! first and is the better choice.
//!
//! An index that is not below x's size in dimension d is an error: on the CPU at once, on a GPU at the next read-back.

pub(crate) mod cases;
mod cpu;
mod definition;
mod gpu;
#[cfg(test)]
mod tests;

use crate::definition::{Array, Defined};
use crate::device::Gpu;
use crate::error::{Error, Result};
use crate::operation::{Context, Forward, Operation, Saves};
use crate::shape::MAX_DIMENSIONS;
use crate::tape::{Var, apply_one};
use crate::tensor::{Spec, Tensor};
use crate::{DType, Shape};

/// Elements or slices by index along a dimension.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gather {
    /// Each place of the result has an index of its own.
    Elements {
        /// The dimension in which the index stands.
        dimension: usize,
    },
    /// One index [n] for all.
    Slices {
        /// The dimension in which the index stands.
        dimension: usize,
    },
}

/// The elements of x that `index` names along a dimension; index u32 of x's rank, the result has its shape.
///
/// # Errors
/// A dimension that x lacks, an index of another rank or, in another dimension, of a larger size than x; x not f32 or f64, an
/// index that is not u32; an index that is not below x's size (on a GPU an error of the next read-back).
pub fn gather(x: &Var, dimension: usize, index: &Var) -> Result<Var> {
    apply_one(Gather::Elements { dimension }, &[x, index])
}

/// The slices of x that `ids` u32 [n] names along a dimension, in their order.
///
/// # Errors
/// As [`gather`]; ids that are not a vector.
pub fn index_select(x: &Var, dimension: usize, ids: &Var) -> Result<Var> {
    apply_one(Gather::Slices { dimension }, &[x, ids])
}

/// How x, y and the index lie, padded in front to five dimensions.
#[derive(Debug, Clone, Copy)]
struct Layout {
    /// The dimension in which the index stands.
    dimension: usize,
    x: [usize; MAX_DIMENSIONS],
    y: [usize; MAX_DIMENSIONS],
    /// From one index to the next along each dimension of y; 0 where it is the same.
    index_strides: [usize; MAX_DIMENSIONS],
}

impl Layout {
    fn new(gather: Gather, x: &Shape, y: &Shape) -> Self {
        let dimension = gather.dimension() + MAX_DIMENSIONS - x.rank();
        let (x, y) = (x.padded(), y.padded());
        let index_strides = match gather {
            Gather::Elements { .. } => strides(y),
            Gather::Slices { .. } => {
                let mut only = [0; MAX_DIMENSIONS];
                only[dimension] = 1;
                only
            }
        };
        Self { dimension, x, y, index_strides }
    }
}

/// From one element to the next along each dimension of a contiguous tensor.
fn strides(sizes: [usize; MAX_DIMENSIONS]) -> [usize; MAX_DIMENSIONS] {
    let mut strides = [1; MAX_DIMENSIONS];
    for at in (0..MAX_DIMENSIONS - 1).rev() {
        strides[at] = strides[at + 1] * sizes[at + 1];
    }
    strides
}

impl Gather {
    fn dimension(self) -> usize {
        match self {
            Self::Elements { dimension } | Self::Slices { dimension } => dimension,
        }
    }

    /// The result's shape.
    fn shape(self, x: &Shape, index: &Shape) -> Result<Shape> {
        let (dimension, rank) = (self.dimension(), x.rank());
        let refused =
            |what: &str| Error::shape(self.name(), format!("x {x:?}, index {index:?}, dimension {dimension}: {what}"));
        if dimension >= rank {
            return Err(refused(&format!("x has {rank} dimensions")));
        }
        match self {
            Self::Elements { .. } => {
                if index.rank() != rank {
                    return Err(refused("the index must have as many dimensions as x"));
                }
                let mut others = (0..rank).filter(|&at| at != dimension);
                if others.any(|at| index.sizes()[at] > x.sizes()[at]) {
                    return Err(refused("in every other dimension the index may have at most x's size"));
                }
                Ok(*index)
            }
            Self::Slices { .. } => {
                let [count] = index.sizes() else {
                    return Err(refused("the index must be a vector"));
                };
                let mut sizes = x.sizes().to_vec();
                sizes[dimension] = *count;
                Shape::new(&sizes)
            }
        }
    }

    fn layout(self, x: &Shape, index: &Shape) -> Result<Layout> {
        Ok(Layout::new(self, x, &self.shape(x, index)?))
    }
}

impl Forward for Gather {
    fn name(&self) -> &'static str {
        match self {
            Self::Elements { .. } => "gather",
            Self::Slices { .. } => "index_select",
        }
    }

    fn outputs(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        let [x, index] = inputs else {
            return Err(Error::shape(self.name(), format!("takes x and an index, got {} inputs", inputs.len())));
        };
        if !matches!(x.dtype, DType::F32 | DType::F64) || index.dtype != DType::U32 {
            return Err(Error::dtype(
                self.name(),
                format!("takes f32 or f64 and a u32 index, got {} and {}", x.dtype, index.dtype),
            ));
        }
        Ok(vec![Spec { shape: self.shape(&x.shape, &index.shape)?, dtype: x.dtype }])
    }

    fn forward_cpu(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        Ok(vec![cpu::forward(*self, inputs[0], inputs[1])?])
    }

    fn forward_gpu(&self, gpu: &Gpu, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        Ok(vec![gpu::forward(*self, gpu, inputs[0], inputs[1])?])
    }

    fn definition(&self, inputs: &[Array]) -> Vec<Defined> {
        definition::define(*self, &inputs[0], &inputs[1])
    }
}

impl Operation for Gather {
    fn saves(&self) -> Saves {
        Saves { inputs: &[1], outputs: &[] }
    }

    fn backward_cpu(&self, context: &Context) -> Result<Vec<Option<Tensor>>> {
        let x = &context.input_specs[0];
        let d_x =
            context.needs[0].then(|| cpu::backward(*self, x, context.input(1)?, context.d_output(0)?)).transpose()?;
        Ok(vec![d_x, None])
    }

    fn backward_gpu(&self, gpu: &Gpu, context: &Context) -> Result<Vec<Option<Tensor>>> {
        let x = &context.input_specs[0];
        let d_x = context.needs[0]
            .then(|| gpu::backward(*self, gpu, x, context.input(1)?, context.d_output(0)?))
            .transpose()?;
        Ok(vec![d_x, None])
    }
}
