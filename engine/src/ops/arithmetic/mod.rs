//! Sum, difference, product and quotient with broadcasting.
//!
//! Shapes are aligned at the last dimension; a size of 1 is repeated. The gradient of a repeated input is summed over the
//! repetitions.
//!
//! | y | da | db |
//! |---|---|---|
//! | a + b | dy | dy |
//! | a − b | dy | −dy |
//! | a · b | dy · b | dy · a |
//! | a / b | dy / b | −dy · (a / b) / b |
//!
//! A sum may also be one of mixed precision, on a GPU with f16: f32 + f16 is f32, f16 + f16 is f16, computed in f32; each
//! gradient has its input's type.

pub(crate) mod cases;
mod cpu;
mod definition;
mod gpu;

use crate::definition::{Array, Defined};
use crate::device::Gpu;
use crate::error::{Error, Result};
use crate::operation::{Context, Forward, Operation, Saves, run};
use crate::ops::cast::convert;
use crate::ops::reduction::{Kind, Reduction};
use crate::tape::{Var, apply_one};
use crate::tensor::{Spec, Tensor};
use crate::{DType, Shape};

/// Which of the four.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arithmetic {
    /// a + b
    Add,
    /// a − b
    Subtract,
    /// a · b
    Multiply,
    /// a / b
    Divide,
}

/// a + b, broadcast.
///
/// # Errors
/// Shapes that do not broadcast; types other than two equal float types; f16 on the CPU.
pub fn add(a: &Var, b: &Var) -> Result<Var> {
    apply_one(Arithmetic::Add, &[a, b])
}

/// a − b, broadcast.
///
/// # Errors
/// As [`add`]; one or two f16.
pub fn subtract(a: &Var, b: &Var) -> Result<Var> {
    apply_one(Arithmetic::Subtract, &[a, b])
}

/// a · b elementwise, broadcast.
///
/// # Errors
/// As [`add`].
pub fn multiply(a: &Var, b: &Var) -> Result<Var> {
    apply_one(Arithmetic::Multiply, &[a, b])
}

/// a / b elementwise, broadcast.
///
/// # Errors
/// As [`add`].
pub fn divide(a: &Var, b: &Var) -> Result<Var> {
    apply_one(Arithmetic::Divide, &[a, b])
}

/// a + b of tensors, unrecorded: how the tape adds up gradients.
pub(crate) fn add_tensors(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    combine(Arithmetic::Add, a, b)
}

fn combine(kind: Arithmetic, a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let mut outputs = run(&kind, &[a, b])?;
    outputs.pop().ok_or_else(|| Error::shape(kind.name(), "no output"))
}

/// `x` summed over the dimensions in which `shape` is repeated to become `x`'s shape.
fn sum_to(x: &Tensor, shape: &Shape) -> Result<Tensor> {
    if x.shape() == shape {
        return Ok(x.clone());
    }
    let added = x.shape().rank() - shape.rank();
    let repeated = |&axis: &usize| axis < added || shape.sizes()[axis - added] != x.sizes()[axis];
    let axes = (0..x.shape().rank()).filter(repeated).collect();
    let sums = run(&Reduction { kind: Kind::Sum, axes, keep: true }, &[x])?;
    sums.first().ok_or_else(|| Error::shape("sum", "no output"))?.reshaped(shape.sizes())
}

impl Forward for Arithmetic {
    fn name(&self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Subtract => "subtract",
            Self::Multiply => "multiply",
            Self::Divide => "divide",
        }
    }

    fn outputs(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        let [a, b] = inputs else {
            return Err(Error::shape(self.name(), format!("takes two inputs, got {}", inputs.len())));
        };
        let dtype = match (a.dtype, b.dtype) {
            (DType::F32, DType::F32) => DType::F32,
            (DType::F64, DType::F64) => DType::F64,
            (DType::F32, DType::F16) | (DType::F16, DType::F32) if *self == Self::Add => DType::F32,
            (DType::F16, DType::F16) if *self == Self::Add => DType::F16,
            (a, b) => {
                let halves = if *self == Self::Add { ", f16 in place of any f32 on a GPU" } else { "" };
                let message = format!("takes two f32 or two f64{halves}, got {a} and {b}");
                return Err(Error::dtype(self.name(), message));
            }
        };
        Ok(vec![Spec { shape: Shape::broadcast(self.name(), &a.shape, &b.shape)?, dtype }])
    }

    fn forward_cpu(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        cpu::forward(*self, inputs[0], inputs[1])
    }

    fn forward_gpu(&self, gpu: &Gpu, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        gpu::forward(*self, gpu, inputs[0], inputs[1])
    }

    fn definition(&self, inputs: &[Array]) -> Vec<Defined> {
        definition::define(*self, &inputs[0], &inputs[1])
    }
}

impl Operation for Arithmetic {
    fn saves(&self) -> Saves {
        match self {
            Self::Add | Self::Subtract => Saves::default(),
            Self::Multiply | Self::Divide => Saves { inputs: &[0, 1], outputs: &[] },
        }
    }

    fn backward_cpu(&self, context: &Context) -> Result<Vec<Option<Tensor>>> {
        self.backward(context)
    }

    fn backward_gpu(&self, _: &Gpu, context: &Context) -> Result<Vec<Option<Tensor>>> {
        self.backward(context)
    }
}

impl Arithmetic {
    /// The table in the module's head, in terms of the forward operations.
    fn backward(self, context: &Context) -> Result<Vec<Option<Tensor>>> {
        let dy = context.d_output(0)?;
        let negative = |x: Tensor| {
            let minus_one = match x.dtype() {
                DType::F64 => Tensor::new(&x.device(), &[1], &[-1f64]),
                _ => Tensor::new(&x.device(), &[1], &[-1f32]),
            }?;
            combine(Self::Multiply, &x, &minus_one)
        };
        let d_a = |()| match self {
            Self::Add | Self::Subtract => Ok(dy.clone()),
            Self::Multiply => combine(Self::Multiply, dy, context.input(1)?),
            Self::Divide => combine(Self::Divide, dy, context.input(1)?),
        };
        let d_b = |()| match self {
            Self::Add => Ok(dy.clone()),
            Self::Subtract => negative(dy.clone()),
            Self::Multiply => combine(Self::Multiply, dy, context.input(0)?),
            Self::Divide => {
                let quotient = combine(Self::Divide, context.input(0)?, context.input(1)?)?;
                let ratio = combine(Self::Divide, &quotient, context.input(1)?)?;
                negative(combine(Self::Multiply, dy, &ratio)?)
            }
        };
        let reduce = |place: usize, gradient: Result<Tensor>| {
            let (Spec { shape, dtype }, gradient) = (context.input_specs[place], gradient?);
            if gradient.dtype() == DType::F16 && *gradient.shape() != shape {
                // Sums over repetitions are made in f32.
                return convert(&sum_to(&convert(&gradient, DType::F32)?, &shape)?, dtype);
            }
            convert(&sum_to(&gradient, &shape)?, dtype)
        };
        Ok(vec![
            context.needs[0].then(|| reduce(0, d_a(()))).transpose()?,
            context.needs[1].then(|| reduce(1, d_b(()))).transpose()?,
        ])
    }
}
