//! Sums, means and maxima over any of the dimensions.
//!
//! - y = f · Σ x with f = 1 for the sum and 1/n for the mean of n elements; dx = f · dy at every place that was summed.
//! - y = max x; dx = dy at the first of the largest elements, in the order in which they lie in memory, and 0 elsewhere. A
//!   NaN counts as larger than all: the result is NaN then, and it is the first NaN that gets the gradient.
//!
//! Axes that lie side by side are one dimension of a view \[outer, n, inner\]; others are reduced one after the other.

mod argmax;
pub(crate) mod cases;
mod cpu;
mod definition;
mod gpu;
mod stages;
#[cfg(test)]
mod tests;

pub use argmax::{Argmax, argmax};

use stages::{Stage, stages};

use crate::DType;
use crate::definition::{Array, Defined};
use crate::device::Gpu;
use crate::error::{Error, Result};
use crate::operation::{Context, Forward, Operation, Saves};
use crate::tape::{Var, apply_one};
use crate::tensor::{Spec, Tensor};

/// What is taken of the elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Σ x
    Sum,
    /// Σ x / n
    Mean,
    /// max x
    Max,
}

/// A reduction over some dimensions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reduction {
    /// What is taken.
    pub kind: Kind,
    /// Over which dimensions, in any order; over none, y is x.
    pub axes: Vec<usize>,
    /// Whether they stay, with a size of 1; else they are left out.
    pub keep: bool,
}

/// Σ over `axes`, which become 1 if `keep` and are left out if not. Over no axes it is `x`; over a dimension of size 0 it
/// is 0.
///
/// # Errors
/// An axis that `x` does not have or that is named twice; a type other than f32 and f64.
pub fn sum(x: &Var, axes: &[usize], keep: bool) -> Result<Var> {
    apply_one(Reduction { kind: Kind::Sum, axes: axes.to_vec(), keep }, &[x])
}

/// The mean over `axes`, as [`sum`].
///
/// # Errors
/// As [`sum`]; no elements to take a mean of.
pub fn mean(x: &Var, axes: &[usize], keep: bool) -> Result<Var> {
    apply_one(Reduction { kind: Kind::Mean, axes: axes.to_vec(), keep }, &[x])
}

/// The largest element over `axes`, as [`sum`]. The gradient goes to the first of the largest; a NaN counts as largest.
///
/// # Errors
/// As [`sum`]; no elements to take the largest of; more elements than a 32-bit place can tell apart.
pub fn max(x: &Var, axes: &[usize], keep: bool) -> Result<Var> {
    apply_one(Reduction { kind: Kind::Max, axes: axes.to_vec(), keep }, &[x])
}

/// `x`'s sizes with `axes` reduced, and how many elements go into one.
fn reduced(name: &'static str, x: &Spec, axes: &[usize], keep: bool) -> Result<(Vec<usize>, usize)> {
    let sizes = x.shape.sizes();
    if let Some((place, axis)) = axes.iter().enumerate().find(|(at, axis)| axes[..*at].contains(axis)) {
        return Err(Error::shape(name, format!("axis {axis} is named twice, at place {place} again, in {axes:?}")));
    }
    if let Some(axis) = axes.iter().find(|&&axis| axis >= sizes.len()) {
        let rank = sizes.len();
        return Err(Error::shape(name, format!("{:?} has {rank} dimensions, there is no axis {axis}", x.shape)));
    }
    let dimensions = sizes.iter().enumerate();
    let left = dimensions.filter_map(|(axis, &size)| if axes.contains(&axis) { keep.then_some(1) } else { Some(size) });
    Ok((left.collect(), axes.iter().map(|&axis| sizes[axis]).product()))
}

/// Refuses to take the place of an element among none, or among more than a u32 can count.
fn expect_places(name: &'static str, x: &Spec, axes: &[usize], count: usize) -> Result<()> {
    if count == 0 {
        return Err(Error::shape(name, format!("{:?} has no elements along {axes:?} to take the largest of", x.shape)));
    }
    if x.shape.elements() > u32::MAX as usize {
        return Err(Error::limit(
            name,
            format!("{:?} has more than the {} elements of a 32-bit place", x.shape, u32::MAX),
        ));
    }
    Ok(())
}

impl Reduction {
    fn factor(&self, x: &Spec) -> f64 {
        let count: usize = self.axes.iter().map(|&axis| x.shape.sizes()[axis]).product();
        match self.kind {
            Kind::Mean => 1.0 / count as f64,
            Kind::Sum | Kind::Max => 1.0,
        }
    }

    fn stages(&self, x: &Spec) -> Vec<Stage> {
        let mut stages = stages(x.shape.sizes(), &self.axes);
        if stages.is_empty() && self.kind == Kind::Max {
            // Each element is the largest of itself.
            stages.push(Stage { outer: x.shape.elements(), n: 1, inner: 1 });
        }
        stages
    }

    fn forward(&self, x: &Tensor, of: impl FnOnce(&[Stage]) -> Result<Vec<Tensor>>) -> Result<Vec<Tensor>> {
        let y = self.outputs(&[x.spec()])?[0].shape;
        of(&self.stages(&x.spec()))?.iter().map(|flat| flat.reshaped(y.sizes())).collect()
    }
}

impl Forward for Reduction {
    fn name(&self) -> &'static str {
        match self.kind {
            Kind::Sum => "sum",
            Kind::Mean => "mean",
            Kind::Max => "max",
        }
    }

    fn outputs(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        let [x] = inputs else {
            return Err(Error::shape(self.name(), format!("takes one input, got {}", inputs.len())));
        };
        if !matches!(x.dtype, DType::F32 | DType::F64) {
            return Err(Error::dtype(self.name(), format!("takes f32 or f64, got {} {:?}", x.dtype, x.shape)));
        }
        let (sizes, count) = reduced(self.name(), x, &self.axes, self.keep)?;
        let y = Spec::new(&sizes, x.dtype)?;
        match self.kind {
            Kind::Sum => Ok(vec![y]),
            Kind::Mean if count == 0 => {
                let message = format!("{:?} has no elements along {:?} to take a mean of", x.shape, self.axes);
                Err(Error::shape(self.name(), message))
            }
            Kind::Mean => Ok(vec![y]),
            Kind::Max => {
                expect_places(self.name(), x, &self.axes, count)?;
                Ok(vec![y, Spec { dtype: DType::U32, ..y }])
            }
        }
    }

    fn auxiliary(&self) -> usize {
        usize::from(self.kind == Kind::Max)
    }

    fn forward_cpu(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        self.forward(inputs[0], |stages| match self.kind {
            Kind::Max => cpu::max(self.name(), inputs[0], stages),
            _ => Ok(vec![cpu::sum(self.name(), inputs[0], stages, self.factor(&inputs[0].spec()))?]),
        })
    }

    fn forward_gpu(&self, gpu: &Gpu, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        self.forward(inputs[0], |stages| match self.kind {
            Kind::Max => gpu::max(self.name(), gpu, inputs[0], stages),
            _ => Ok(vec![gpu::sum(self.name(), gpu, inputs[0], stages, self.factor(&inputs[0].spec()))?]),
        })
    }

    fn definition(&self, inputs: &[Array]) -> Vec<Defined> {
        definition::define(self, &inputs[0])
    }
}

impl Operation for Reduction {
    fn saves(&self) -> Saves {
        Saves { inputs: &[], outputs: if self.kind == Kind::Max { &[1] } else { &[] } }
    }

    fn backward_cpu(&self, context: &Context) -> Result<Vec<Option<Tensor>>> {
        let (x, d_y) = (&context.input_specs[0], context.d_output(0)?);
        let d_x = match self.kind {
            Kind::Max => cpu::scatter(self.name(), x, context.output(1)?, d_y),
            _ => cpu::spread(self.name(), d_y, &self.stages(x), self.factor(x)),
        }?;
        Ok(vec![Some(d_x.reshaped(x.shape.sizes())?)])
    }

    fn backward_gpu(&self, gpu: &Gpu, context: &Context) -> Result<Vec<Option<Tensor>>> {
        let (x, d_y) = (&context.input_specs[0], context.d_output(0)?);
        let d_x = match self.kind {
            Kind::Max => gpu::scatter(self.name(), gpu, x, context.output(1)?, d_y),
            _ => gpu::spread(self.name(), gpu, d_y, &self.stages(x), self.factor(x)),
        }?;
        Ok(vec![Some(d_x.reshaped(x.shape.sizes())?)])
    }
}
