//! Operations without a gradient, as the checks run them.

use crate::definition::{Array, Defined};
use crate::device::Gpu;
use crate::error::{Error, Result};
use crate::operation::{Context, Forward, Operation, Saves};
use crate::tensor::{Spec, Tensor};

/// An operation that has only a forward.
#[derive(Debug)]
pub(super) struct ForwardOnly<F>(pub F);

impl<F: Forward> ForwardOnly<F> {
    fn no_gradient<T>(&self) -> Result<T> {
        Err(Error::Tape(format!("{} has no gradient", self.0.name())))
    }
}

impl<F: Forward> Forward for ForwardOnly<F> {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn outputs(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        self.0.outputs(inputs)
    }

    fn forward_cpu(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        self.0.forward_cpu(inputs)
    }

    fn forward_gpu(&self, gpu: &Gpu, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        self.0.forward_gpu(gpu, inputs)
    }

    fn definition(&self, inputs: &[Array]) -> Vec<Defined> {
        self.0.definition(inputs)
    }
}

impl<F: Forward> Operation for ForwardOnly<F> {
    fn saves(&self) -> Saves {
        Saves::default()
    }

    fn backward_cpu(&self, _: &Context) -> Result<Vec<Option<Tensor>>> {
        self.no_gradient()
    }

    fn backward_gpu(&self, _: &Gpu, _: &Context) -> Result<Vec<Option<Tensor>>> {
        self.no_gradient()
    }
}
