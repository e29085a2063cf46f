//! Arithmetic on the CPU.

use super::Arithmetic;
use crate::device::Cpu;
use crate::device::cpu::float::{Float, vectorized};
use crate::device::cpu::threads::for_rows;
use crate::error::{Error, Result};
use crate::operation::Forward;
use crate::tensor::Tensor;
use crate::{DType, Device, Shape};

pub(super) fn forward(kind: Arithmetic, a: &Tensor, b: &Tensor) -> Result<Vec<Tensor>> {
    let Device::Cpu(device) = a.device() else {
        return Err(Error::device(kind.name(), "expected CPU tensors"));
    };
    let output = match a.dtype() {
        DType::F64 => typed::<f64>(kind, &device, a, b),
        _ => typed::<f32>(kind, &device, a, b),
    }?;
    Ok(vec![output])
}

fn typed<T: Float>(kind: Arithmetic, device: &Cpu, a: &Tensor, b: &Tensor) -> Result<Tensor> {
    match kind {
        Arithmetic::Add => combine::<T>("add", device, a, b, |x, y| x + y),
        Arithmetic::Subtract => combine::<T>("subtract", device, a, b, |x, y| x - y),
        Arithmetic::Multiply => combine::<T>("multiply", device, a, b, |x, y| x * y),
        Arithmetic::Divide => combine::<T>("divide", device, a, b, |x, y| x / y),
    }
}

fn combine<T: Float>(
    name: &'static str,
    device: &Cpu,
    a: &Tensor,
    b: &Tensor,
    with: impl Fn(T, T) -> T + Sync + Copy,
) -> Result<Tensor> {
    let shape = Shape::broadcast(name, a.shape(), b.shape())?;
    let (left, right) = (a.cpu::<T>(name)?, b.cpu::<T>(name)?);
    if a.shape() == b.shape() {
        return Tensor::on_cpu(device, shape.sizes(), |output: &mut [T]| {
            for_rows(output, 1, 1, |first, block| {
                let (left, right) = (&left[first..][..block.len()], &right[first..][..block.len()]);
                vectorized(
                    #[inline(always)]
                    || {
                        for ((out, &x), &y) in block.iter_mut().zip(left).zip(right) {
                            *out = with(x, y);
                        }
                    },
                );
            });
        });
    }
    let sizes = shape.padded();
    let (left_strides, right_strides) = (a.shape().broadcast_strides(&shape), b.shape().broadcast_strides(&shape));
    let width = sizes[4];
    Tensor::on_cpu(device, shape.sizes(), |output: &mut [T]| {
        for_rows(output, width, width, |first, block| {
            for (row, out) in block.chunks_mut(width).enumerate() {
                let (mut rest, mut x, mut y) = (first + row, 0, 0);
                for dimension in (0..4).rev() {
                    let at = rest % sizes[dimension];
                    rest /= sizes[dimension];
                    x += at * left_strides[dimension];
                    y += at * right_strides[dimension];
                }
                for (column, out) in out.iter_mut().enumerate() {
                    *out = with(left[x + column * left_strides[4]], right[y + column * right_strides[4]]);
                }
            }
        });
    })
}
