//! The index of the largest element along one dimension. It has no gradient.

use super::{cpu, expect_places, gpu, reduced, stages::Stage};
use crate::DType;
use crate::definition::{Array, Defined};
use crate::device::Gpu;
use crate::error::{Error, Result};
use crate::operation::{Forward, run};
use crate::tensor::{Spec, Tensor};

const NAME: &str = "argmax";

/// Where along a dimension the largest element is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Argmax {
    /// Along which dimension.
    pub axis: usize,
    /// Whether it stays, with a size of 1.
    pub keep: bool,
}

/// The index of the largest element along `axis`, the first of equal ones, as u32. A NaN counts as largest. The dimension
/// becomes 1 if `keep` and is left out if not.
///
/// # Errors
/// An axis that `x` does not have; a type other than f32 and f64; no elements to take the largest of.
pub fn argmax(x: &Tensor, axis: usize, keep: bool) -> Result<Tensor> {
    run(&Argmax { axis, keep }, &[x])?.pop().ok_or_else(|| Error::shape(NAME, "no output"))
}

impl Argmax {
    /// The view in which the dimension is the middle one.
    fn stage(self, sizes: &[usize]) -> Stage {
        Stage {
            outer: sizes[..self.axis].iter().product(),
            n: sizes[self.axis],
            inner: sizes[self.axis + 1..].iter().product(),
        }
    }
}

impl Forward for Argmax {
    fn name(&self) -> &'static str {
        NAME
    }

    fn outputs(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        let [x] = inputs else {
            return Err(Error::shape(NAME, format!("takes one input, got {}", inputs.len())));
        };
        if !matches!(x.dtype, DType::F32 | DType::F64) {
            return Err(Error::dtype(NAME, format!("takes f32 or f64, got {} {:?}", x.dtype, x.shape)));
        }
        let (sizes, count) = reduced(NAME, x, &[self.axis], self.keep)?;
        expect_places(NAME, x, &[self.axis], count)?;
        Ok(vec![Spec::new(&sizes, DType::U32)?])
    }

    fn forward_cpu(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        let spec = self.outputs(&[inputs[0].spec()])?[0];
        Ok(vec![cpu::argmax(NAME, inputs[0], self.stage(inputs[0].sizes()))?.reshaped(spec.shape.sizes())?])
    }

    fn forward_gpu(&self, gpu: &Gpu, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        let spec = self.outputs(&[inputs[0].spec()])?[0];
        Ok(vec![gpu::argmax(NAME, gpu, inputs[0], self.stage(inputs[0].sizes()))?.reshaped(spec.shape.sizes())?])
    }

    fn definition(&self, inputs: &[Array]) -> Vec<Defined> {
        let (x, stage) = (&inputs[0], self.stage(&inputs[0].sizes));
        let mut sizes = x.sizes.clone();
        sizes[self.axis] = 1;
        let index = |column: usize| {
            let first = column / stage.inner * stage.n * stage.inner + column % stage.inner;
            let at = |row: usize| x.data[first + row * stage.inner];
            (1..stage.n).fold(0, |best, row| if at(row) > at(best) { row } else { best }) as f64
        };
        let data = (0..stage.outputs()).map(index).collect();
        if !self.keep {
            sizes.remove(self.axis);
        }
        vec![Defined::elementwise(Array::new(&sizes, data))]
    }
}
