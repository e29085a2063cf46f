//! Parts of a tensor along one dimension: cut out, and joined.
//!
//! Everything before the dimension counts as rows, it and everything behind it as columns, so that both are copies of a
//! window of columns. The gradient of a slice is dy with zeros around it; that of a joined part is its slice of dy.

pub(crate) mod cases;
mod copy;
mod definition;

use copy::{Window, copy};

use crate::DType;
use crate::definition::{Array, Defined};
use crate::device::Gpu;
use crate::error::{Error, Result};
use crate::operation::{Context, Forward, Operation, Saves};
use crate::tape::{Var, apply_one};
use crate::tensor::{Spec, Tensor};

/// A part of a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slice {
    /// Along which dimension.
    pub dimension: usize,
    /// Where it starts.
    pub start: usize,
    /// How long it is.
    pub length: usize,
}

/// Tensors joined along a dimension.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Concatenate {
    /// Along which dimension.
    pub dimension: usize,
}

/// The part of `x` from `start` on, `length` long, along `dimension`.
///
/// # Errors
/// A part that reaches beyond `x`; a type other than a float type.
pub fn slice(x: &Var, dimension: usize, start: usize, length: usize) -> Result<Var> {
    apply_one(Slice { dimension, start, length }, &[x])
}

/// `parts` joined along `dimension`; their other sizes are equal.
///
/// # Errors
/// No parts, sizes that differ in another dimension, types other than equal float types.
pub fn concatenate(parts: &[&Var], dimension: usize) -> Result<Var> {
    apply_one(Concatenate { dimension }, parts)
}

/// Rows, and columns an index of the dimension.
fn extent(sizes: &[usize], dimension: usize) -> [usize; 2] {
    [sizes[..dimension].iter().product(), sizes[dimension + 1..].iter().product()]
}

fn float(name: &'static str, dtype: DType) -> Result<()> {
    match dtype {
        DType::F32 | DType::F64 => Ok(()),
        other => Err(Error::dtype(name, format!("takes f32 or f64, got {other}"))),
    }
}

impl Slice {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let mut sizes = x.sizes().to_vec();
        let ([rows, inner], all) = (extent(&sizes, self.dimension), sizes[self.dimension]);
        sizes[self.dimension] = self.length;
        let window = Window {
            rows,
            width: self.length * inner,
            from: (all * inner, (self.start * inner) as isize),
            to: (self.length * inner, 0),
        };
        copy(self.name(), &sizes, &[(x, window)])
    }

    fn backward(&self, context: &Context) -> Result<Vec<Option<Tensor>>> {
        let sizes = context.input_specs[0].shape.sizes();
        let ([rows, inner], all) = (extent(sizes, self.dimension), sizes[self.dimension]);
        let window = Window {
            rows,
            width: all * inner,
            from: (self.length * inner, -((self.start * inner) as isize)),
            to: (all * inner, 0),
        };
        Ok(vec![Some(copy(self.name(), sizes, &[(context.d_output(0)?, window)])?)])
    }
}

impl Forward for Slice {
    fn name(&self) -> &'static str {
        "slice"
    }

    fn outputs(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        let [x] = inputs else {
            return Err(Error::shape(self.name(), format!("takes one input, got {}", inputs.len())));
        };
        float(self.name(), x.dtype)?;
        let mut sizes = x.shape.sizes().to_vec();
        match sizes.get_mut(self.dimension) {
            Some(size) if self.start.checked_add(self.length).is_some_and(|end| end <= *size) => *size = self.length,
            _ => return Err(Error::shape(self.name(), format!("{:?} has no part {self:?}", x.shape))),
        }
        Ok(vec![Spec::new(&sizes, x.dtype)?])
    }

    fn forward_cpu(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        Ok(vec![self.forward(inputs[0])?])
    }

    fn forward_gpu(&self, _: &Gpu, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        Ok(vec![self.forward(inputs[0])?])
    }

    fn definition(&self, inputs: &[Array]) -> Vec<Defined> {
        definition::slice(*self, &inputs[0])
    }
}

impl Operation for Slice {
    fn saves(&self) -> Saves {
        Saves::default()
    }

    fn backward_cpu(&self, context: &Context) -> Result<Vec<Option<Tensor>>> {
        self.backward(context)
    }

    fn backward_gpu(&self, _: &Gpu, context: &Context) -> Result<Vec<Option<Tensor>>> {
        self.backward(context)
    }
}

impl Concatenate {
    fn forward(&self, inputs: &[&Tensor]) -> Result<Tensor> {
        let specs: Vec<Spec> = inputs.iter().map(|input| input.spec()).collect();
        let shape = self.outputs(&specs)?[0].shape;
        let [rows, inner] = extent(shape.sizes(), self.dimension);
        let columns = shape.sizes()[self.dimension] * inner;
        let mut first = 0;
        let parts = inputs.iter().map(|&input| {
            let width = input.sizes()[self.dimension] * inner;
            let window = Window { rows, width, from: (width, 0), to: (columns, first) };
            first += width;
            (input, window)
        });
        copy(self.name(), shape.sizes(), &parts.collect::<Vec<_>>())
    }

    fn backward(&self, context: &Context) -> Result<Vec<Option<Tensor>>> {
        let d_y = context.d_output(0)?;
        let mut start = 0;
        let mut gradients = Vec::new();
        for (spec, &needed) in context.input_specs.iter().zip(context.needs) {
            let length = spec.shape.sizes()[self.dimension];
            let part = Slice { dimension: self.dimension, start, length };
            gradients.push(needed.then(|| part.forward(d_y)).transpose()?);
            start += length;
        }
        Ok(gradients)
    }
}

impl Forward for Concatenate {
    fn name(&self) -> &'static str {
        "concatenate"
    }

    fn outputs(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        let error = || {
            let shapes: Vec<_> = inputs.iter().map(|input| format!("{} {:?}", input.dtype, input.shape)).collect();
            let message = format!("{} cannot be joined along dimension {}", shapes.join(", "), self.dimension);
            Error::shape(self.name(), message)
        };
        let first = inputs.first().ok_or_else(error)?;
        let mut joined = first.shape.sizes().to_vec();
        let mut length = 0;
        for input in inputs {
            float(self.name(), input.dtype)?;
            let mut sizes = input.shape.sizes().to_vec();
            length += *sizes.get(self.dimension).ok_or_else(error)?;
            if sizes.len() == joined.len() {
                sizes[self.dimension] = joined[self.dimension];
            }
            if sizes != joined || input.dtype != first.dtype {
                return Err(error());
            }
        }
        joined[self.dimension] = length;
        Ok(vec![Spec::new(&joined, first.dtype)?])
    }

    fn forward_cpu(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        Ok(vec![self.forward(inputs)?])
    }

    fn forward_gpu(&self, _: &Gpu, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        Ok(vec![self.forward(inputs)?])
    }

    fn definition(&self, inputs: &[Array]) -> Vec<Defined> {
        definition::concatenate(*self, inputs)
    }
}

impl Operation for Concatenate {
    fn saves(&self) -> Saves {
        Saves::default()
    }

    fn backward_cpu(&self, context: &Context) -> Result<Vec<Option<Tensor>>> {
        self.backward(context)
    }

    fn backward_gpu(&self, _: &Gpu, context: &Context) -> Result<Vec<Option<Tensor>>> {
        self.backward(context)
    }
}
