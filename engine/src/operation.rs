//! What an operation is: the traits that ours and users' own implement alike.

use std::fmt::Debug;
use std::rc::Rc;

use crate::definition::{Array, Defined};
use crate::device::{Device, Gpu};
use crate::error::{Error, Result};
use crate::tensor::{Spec, Tensor};

/// A computation on every device, with its definition. A type that implements only this has no gradient.
///
/// Inputs come in a fixed order. Outputs are the visible ones first, then auxiliary ones that only the backward reads.
pub trait Forward: Debug + 'static {
    /// The operation's name, as in messages and in the table of checks.
    fn name(&self) -> &'static str;

    /// The shape rule: specs of all outputs, auxiliary ones included.
    ///
    /// # Errors
    /// Shapes or types that do not fit; the message names all of them.
    fn outputs(&self, inputs: &[Spec]) -> Result<Vec<Spec>>;

    /// How many of the outputs, at the end, only the backward reads.
    fn auxiliary(&self) -> usize {
        0
    }

    /// Computes on the CPU, in `f32` or `f64` as the inputs are.
    ///
    /// # Errors
    /// What the computation meets; shapes were checked before.
    fn forward_cpu(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>>;

    /// Records the kernels on a GPU.
    ///
    /// # Errors
    /// What allocation and recording meet; shapes were checked before.
    fn forward_gpu(&self, gpu: &Gpu, inputs: &[&Tensor]) -> Result<Vec<Tensor>>;

    /// The formula as the paper writes it, in f64 and naive: the visible outputs, each element with the sum of the absolute
    /// values of its terms.
    fn definition(&self, inputs: &[Array]) -> Vec<Defined>;
}

/// A differentiable operation.
pub trait Operation: Forward {
    /// Which tensors the backward reads; all others are freed after the forward.
    fn saves(&self) -> Saves;

    /// The gradients of the inputs, on the CPU; `None` for inputs that need none or have none (indices).
    ///
    /// # Errors
    /// What the computation meets.
    fn backward_cpu(&self, context: &Context) -> Result<Vec<Option<Tensor>>>;

    /// Records the kernels of the backward on a GPU.
    ///
    /// # Errors
    /// What allocation and recording meet.
    fn backward_gpu(&self, gpu: &Gpu, context: &Context) -> Result<Vec<Option<Tensor>>>;

    /// [`Operation::backward_gpu`] for an operation whose kernels can add to what is there. `sums` holds, by the inputs'
    /// places, the gradient that has reached an input from its other uses so far; only if nobody else holds its buffer. An
    /// operation may take one out, add to it in place and return it for that input; what it leaves the tape adds.
    ///
    /// # Errors
    /// As [`Operation::backward_gpu`].
    fn backward_gpu_onto(
        &self,
        gpu: &Gpu,
        context: &Context,
        _sums: &mut [Option<Tensor>],
    ) -> Result<Vec<Option<Tensor>>> {
        self.backward_gpu(gpu, context)
    }
}

impl<F: Forward + ?Sized> Forward for Rc<F> {
    fn name(&self) -> &'static str {
        (**self).name()
    }

    fn outputs(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        (**self).outputs(inputs)
    }

    fn auxiliary(&self) -> usize {
        (**self).auxiliary()
    }

    fn forward_cpu(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        (**self).forward_cpu(inputs)
    }

    fn forward_gpu(&self, gpu: &Gpu, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        (**self).forward_gpu(gpu, inputs)
    }

    fn definition(&self, inputs: &[Array]) -> Vec<Defined> {
        (**self).definition(inputs)
    }
}

impl<O: Operation + ?Sized> Operation for Rc<O> {
    fn saves(&self) -> Saves {
        (**self).saves()
    }

    fn backward_cpu(&self, context: &Context) -> Result<Vec<Option<Tensor>>> {
        (**self).backward_cpu(context)
    }

    fn backward_gpu(&self, gpu: &Gpu, context: &Context) -> Result<Vec<Option<Tensor>>> {
        (**self).backward_gpu(gpu, context)
    }

    fn backward_gpu_onto(
        &self,
        gpu: &Gpu,
        context: &Context,
        sums: &mut [Option<Tensor>],
    ) -> Result<Vec<Option<Tensor>>> {
        (**self).backward_gpu_onto(gpu, context, sums)
    }
}

/// Which tensors a backward reads, by their places.
#[derive(Debug, Clone, Copy, Default)]
pub struct Saves {
    /// Places among the inputs.
    pub inputs: &'static [usize],
    /// Places among the outputs, auxiliary ones included.
    pub outputs: &'static [usize],
}

/// What a backward is given.
#[derive(Debug)]
pub struct Context<'a> {
    /// The operation's name, for messages.
    pub operation: &'static str,
    /// Specs of all inputs, saved or not.
    pub input_specs: &'a [Spec],
    /// The saved inputs, at their places.
    pub inputs: &'a [Option<Tensor>],
    /// The saved outputs, at their places.
    pub outputs: &'a [Option<Tensor>],
    /// The gradients of the visible outputs; `None` where nothing depends on an output.
    pub d_outputs: &'a [Option<Tensor>],
    /// Which inputs need a gradient.
    pub needs: &'a [bool],
}

impl Context<'_> {
    /// A saved input.
    ///
    /// # Errors
    /// An input that [`Operation::saves`] does not name.
    pub fn input(&self, place: usize) -> Result<&Tensor> {
        self.inputs.get(place).and_then(Option::as_ref).ok_or_else(|| self.missing("input", place))
    }

    /// A saved output.
    ///
    /// # Errors
    /// An output that [`Operation::saves`] does not name.
    pub fn output(&self, place: usize) -> Result<&Tensor> {
        self.outputs.get(place).and_then(Option::as_ref).ok_or_else(|| self.missing("output", place))
    }

    /// The gradient of a visible output.
    ///
    /// # Errors
    /// Nothing depends on that output; operations with several outputs look at `d_outputs` themselves.
    pub fn d_output(&self, place: usize) -> Result<&Tensor> {
        self.d_outputs.get(place).and_then(Option::as_ref).ok_or_else(|| self.missing("gradient of output", place))
    }

    fn missing(&self, what: &str, place: usize) -> Error {
        Error::Tape(format!("{}: the backward reads {what} {place}, which was not saved", self.operation))
    }
}

/// Runs an operation on the device of its inputs, without recording it.
///
/// # Errors
/// Shapes or types that do not fit, inputs on several devices, and what the computation meets.
pub fn run<F: Forward + ?Sized>(operation: &F, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
    let specs: Vec<Spec> = inputs.iter().map(|tensor| tensor.spec()).collect();
    operation.outputs(&specs)?;
    let Some(first) = inputs.first() else {
        return Err(Error::shape(operation.name(), "an operation needs at least one input"));
    };
    let device = first.device();
    if let Some(other) = inputs.iter().find(|tensor| tensor.device() != device) {
        return Err(Error::device(
            operation.name(),
            format!("inputs are on several devices: {first:?} and {other:?}; move them with `to_device`"),
        ));
    }
    match &device {
        Device::Cpu(_) => operation.forward_cpu(inputs),
        Device::Gpu(gpu) => operation.forward_gpu(gpu, inputs),
    }
}

/// Runs an operation's backward on the device of `context`'s gradients.
///
/// # Errors
/// What the computation meets.
pub fn run_backward<O: Operation + ?Sized>(operation: &O, context: &Context) -> Result<Vec<Option<Tensor>>> {
    run_backward_onto(operation, context, &mut vec![None; context.input_specs.len()])
}

/// [`run_backward`] that may add to sums in place, see [`Operation::backward_gpu_onto`].
///
/// # Errors
/// What the computation meets.
pub(crate) fn run_backward_onto<O: Operation + ?Sized>(
    operation: &O,
    context: &Context,
    sums: &mut [Option<Tensor>],
) -> Result<Vec<Option<Tensor>>> {
    let Some(given) = context.d_outputs.iter().flatten().next() else {
        return Ok(vec![None; context.input_specs.len()]);
    };
    match &given.device() {
        Device::Cpu(_) => operation.backward_cpu(context),
        Device::Gpu(gpu) => operation.backward_gpu_onto(gpu, context, sums),
    }
}
