//! The same elements seen with other sizes: y and x share one buffer, dx is dy with x's sizes.

pub(crate) mod cases;

use crate::definition::{Array, Defined};
use crate::device::Gpu;
use crate::error::{Error, Result};
use crate::operation::{Context, Forward, Operation, Saves};
use crate::tape::{Var, apply_one};
use crate::tensor::{Spec, Tensor};

/// A reshape to the given sizes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reshape {
    /// The new sizes.
    pub to: Vec<usize>,
}

/// `x` with other sizes of the same product. Nothing is copied.
///
/// # Errors
/// Sizes with another product; the message names both shapes.
pub fn reshape(x: &Var, sizes: &[usize]) -> Result<Var> {
    apply_one(Reshape { to: sizes.to_vec() }, &[x])
}

impl Forward for Reshape {
    fn name(&self) -> &'static str {
        "reshape"
    }

    fn outputs(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        let [x] = inputs else {
            return Err(Error::shape(self.name(), format!("takes one input, got {}", inputs.len())));
        };
        let to = Spec::new(&self.to, x.dtype)?;
        if to.shape.elements() != x.shape.elements() {
            return Err(Error::shape(self.name(), format!("{:?} cannot become {:?}", x.shape, self.to)));
        }
        Ok(vec![to])
    }

    fn forward_cpu(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        Ok(vec![inputs[0].reshaped(&self.to)?])
    }

    fn forward_gpu(&self, _: &Gpu, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        self.forward_cpu(inputs)
    }

    fn definition(&self, inputs: &[Array]) -> Vec<Defined> {
        vec![Defined::elementwise(Array::new(&self.to, inputs[0].data.clone()))]
    }
}

impl Operation for Reshape {
    fn saves(&self) -> Saves {
        Saves::default()
    }

    fn backward_cpu(&self, context: &Context) -> Result<Vec<Option<Tensor>>> {
        Ok(vec![Some(context.d_output(0)?.reshaped(context.input_specs[0].shape.sizes())?)])
    }

    fn backward_gpu(&self, _: &Gpu, context: &Context) -> Result<Vec<Option<Tensor>>> {
        self.backward_cpu(context)
    }
}
