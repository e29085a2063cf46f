//! Dimensions in another order: y\[i\] = x\[j\], where dimension k of y is dimension order\[k\] of x. The gradient puts them
//! back: dx is dy with the inverse order.
//!
//! Works on any type of 32 or 64 bits, which are only moved. Dimensions that stay neighbours are moved as one, and nothing is
//! copied where the elements stay in their order.

pub(crate) mod cases;
mod cpu;
mod definition;
mod gpu;
#[cfg(test)]
mod tests;

use crate::DType;
use crate::definition::{Array, Defined};
use crate::device::{Device, Gpu};
use crate::error::{Error, Result};
use crate::operation::{Context, Forward, Operation, Saves};
use crate::tape::{Var, apply_one};
use crate::tensor::{Spec, Tensor};

const NAME: &str = "permute";

/// An order of dimensions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permute {
    /// For each dimension of the result the dimension of the input that it is.
    pub order: Vec<usize>,
}

/// `x` with its dimensions in another order: `y.sizes()[k] == x.sizes()[order[k]]`.
///
/// # Errors
/// An order that does not name each dimension of `x` once; f16.
pub fn permute(x: &Var, order: &[usize]) -> Result<Var> {
    apply_one(Permute { order: order.to_vec() }, &[x])
}

/// `x` with dimensions `a` and `b` exchanged.
///
/// # Errors
/// A dimension that `x` does not have; f16.
pub fn transpose(x: &Var, a: usize, b: usize) -> Result<Var> {
    let shape = x.tensor().shape();
    if a.max(b) >= shape.rank() {
        let message = format!("{shape:?} has {} dimensions, there are no {a} and {b} to exchange", shape.rank());
        return Err(Error::shape("transpose", message));
    }
    let mut order: Vec<usize> = (0..shape.rank()).collect();
    order.swap(a, b);
    permute(x, &order)
}

/// A dimension of y, or several that stay neighbours: how many elements, and how far they are apart in x.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Axis {
    size: usize,
    stride: usize,
}

/// The dimensions of y with as few as the order allows: none of size 1, neighbours in both tensors joined.
fn axes(sizes: &[usize], order: &[usize]) -> Vec<Axis> {
    let stride = |dimension: usize| -> usize { sizes[dimension + 1..].iter().product() };
    let mut axes: Vec<Axis> = Vec::new();
    for &dimension in order.iter().filter(|&&dimension| sizes[dimension] != 1) {
        let (size, stride) = (sizes[dimension], stride(dimension));
        match axes.last_mut() {
            Some(last) if last.stride == size * stride => *last = Axis { size: last.size * size, stride },
            _ => axes.push(Axis { size, stride }),
        }
    }
    axes
}

impl Permute {
    fn inverse(&self) -> Self {
        let mut order = vec![0; self.order.len()];
        for (place, &dimension) in self.order.iter().enumerate() {
            order[dimension] = place;
        }
        Self { order }
    }

    fn run(&self, x: &Tensor) -> Result<Tensor> {
        let sizes: Vec<usize> = self.order.iter().map(|&dimension| x.sizes()[dimension]).collect();
        let axes = axes(x.sizes(), &self.order);
        if axes.len() <= 1 || x.elements() == 0 {
            return x.reshaped(&sizes);
        }
        match x.device() {
            Device::Cpu(cpu) => cpu::permute(&cpu, x, &axes)?.reshaped(&sizes),
            Device::Gpu(gpu) => gpu::permute(&gpu, x, &axes)?.reshaped(&sizes),
        }
    }
}

impl Forward for Permute {
    fn name(&self) -> &'static str {
        NAME
    }

    fn outputs(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        let [x] = inputs else {
            return Err(Error::shape(NAME, format!("takes one input, got {}", inputs.len())));
        };
        if x.dtype == DType::F16 {
            return Err(Error::dtype(NAME, format!("takes f32, f64 or u32, got f16 {:?}; cast it first", x.shape)));
        }
        let mut named = self.order.clone();
        named.sort_unstable();
        if !named.iter().copied().eq(0..x.shape.rank()) {
            let rank = x.shape.rank();
            let message = format!("{:?} needs an order of its {rank} dimensions, got {:?}", x.shape, self.order);
            return Err(Error::shape(NAME, message));
        }
        let sizes: Vec<usize> = self.order.iter().map(|&dimension| x.shape.sizes()[dimension]).collect();
        Ok(vec![Spec::new(&sizes, x.dtype)?])
    }

    fn forward_cpu(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        Ok(vec![self.run(inputs[0])?])
    }

    fn forward_gpu(&self, _: &Gpu, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        Ok(vec![self.run(inputs[0])?])
    }

    fn definition(&self, inputs: &[Array]) -> Vec<Defined> {
        definition::define(self, &inputs[0])
    }
}

impl Operation for Permute {
    fn saves(&self) -> Saves {
        Saves::default()
    }

    fn backward_cpu(&self, context: &Context) -> Result<Vec<Option<Tensor>>> {
        Ok(vec![Some(self.inverse().run(context.d_output(0)?)?)])
    }

    fn backward_gpu(&self, _: &Gpu, context: &Context) -> Result<Vec<Option<Tensor>>> {
        Ok(vec![Some(self.inverse().run(context.d_output(0)?)?)])
    }
}
