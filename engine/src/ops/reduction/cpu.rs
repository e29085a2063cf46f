//! Sums and means on the CPU.

use super::Reduction;
use crate::DType;
use crate::device::cpu::float::{Float, vectorized};
use crate::device::cpu::threads::{for_rows, map_blocks};
use crate::device::{Cpu, Device};
use crate::error::{Error, Result};
use crate::operation::{Context, Forward};
use crate::ops::rows;
use crate::tensor::Tensor;

fn cpu_of(reduction: Reduction, tensor: &Tensor) -> Result<Cpu> {
    match tensor.device() {
        Device::Cpu(cpu) => Ok(cpu),
        Device::Gpu(_) => Err(Error::device(reduction.name(), "expected CPU tensors")),
    }
}

pub(super) fn forward(reduction: Reduction, x: &Tensor) -> Result<Tensor> {
    match x.dtype() {
        DType::F64 => typed_forward::<f64>(reduction, x),
        _ => typed_forward::<f32>(reduction, x),
    }
}

pub(super) fn backward(reduction: Reduction, context: &Context) -> Result<Tensor> {
    match context.input_specs[0].dtype {
        DType::F64 => typed_backward::<f64>(reduction, context),
        _ => typed_backward::<f32>(reduction, context),
    }
}

fn row_sum<T: Float>(x: &[T]) -> T {
    vectorized(
        #[inline(always)]
        || rows::sum(x, |x| x),
    )
}

fn typed_forward<T: Float>(reduction: Reduction, tensor: &Tensor) -> Result<Tensor> {
    let cpu = cpu_of(reduction, tensor)?;
    let columns = tensor.shape().last();
    let factor = T::from_f64(reduction.factor(columns));
    let sizes = reduction.outputs(&[tensor.spec()])?[0].shape;
    let x = tensor.cpu::<T>(reduction.name())?;
    Tensor::on_cpu(&cpu, sizes.sizes(), |y: &mut [T]| {
        if let [y] = y {
            // One long row: the threads share it.
            let parts = map_blocks(columns, 1, |range| row_sum(&x[range]));
            *y = factor * parts.into_iter().fold(T::ZERO, |sum, part| sum + part);
            return;
        }
        for_rows(y, 1, columns, |first, y| {
            for (row, y) in (first..).zip(y) {
                *y = factor * row_sum(&x[row * columns..][..columns]);
            }
        });
    })
}

fn typed_backward<T: Float>(reduction: Reduction, context: &Context) -> Result<Tensor> {
    let d_y = context.d_output(0)?;
    let cpu = cpu_of(reduction, d_y)?;
    let shape = context.input_specs[0].shape;
    let columns = shape.last();
    let factor = T::from_f64(reduction.factor(columns));
    let d_y = d_y.cpu::<T>(reduction.name())?;
    Tensor::on_cpu(&cpu, shape.sizes(), |d_x: &mut [T]| {
        if let [d_y] = d_y {
            for_rows(d_x, 1, 1, |_, d_x| d_x.fill(factor * *d_y));
            return;
        }
        for_rows(d_x, columns, columns, |first, d_x| {
            for (d_x, &d_y) in d_x.chunks_exact_mut(columns).zip(&d_y[first..]) {
                d_x.fill(factor * d_y);
            }
        });
    })
}
