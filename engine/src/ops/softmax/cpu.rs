//! Softmax on the CPU.

use super::Softmax;
use crate::DType;
use crate::device::Device;
use crate::device::cpu::float::{Float, vectorized};
use crate::device::cpu::threads::for_rows;
use crate::error::{Error, Result};
use crate::operation::Forward;
use crate::ops::rows::{highest, sum, sum2};
use crate::tensor::Tensor;

/// Elementary steps an element costs.
const COST: usize = 12;

pub(super) fn forward(softmax: Softmax, x: &Tensor) -> Result<Tensor> {
    match x.dtype() {
        DType::F64 => rows::<f64>(softmax, x, x, |y, x, _| values(softmax, y, x)),
        _ => rows::<f32>(softmax, x, x, |y, x, _| values(softmax, y, x)),
    }
}

pub(super) fn backward(softmax: Softmax, y: &Tensor, d_y: &Tensor) -> Result<Tensor> {
    match y.dtype() {
        DType::F64 => rows::<f64>(softmax, y, d_y, |d_x, y, d_y| gradients(softmax, d_x, y, d_y)),
        _ => rows::<f32>(softmax, y, d_y, |d_x, y, d_y| gradients(softmax, d_x, y, d_y)),
    }
}

#[inline(always)]
fn values<T: Float>(softmax: Softmax, y: &mut [T], x: &[T]) {
    let most = highest(x);
    match softmax {
        Softmax::Probability => {
            for (y, &x) in y.iter_mut().zip(x) {
                *y = (x - most).exp();
            }
            let share = T::ONE / sum(y, |y| y);
            for y in y {
                *y *= share;
            }
        }
        Softmax::Logarithm => {
            let log_sum = sum(x, |x| (x - most).exp()).ln();
            for (y, &x) in y.iter_mut().zip(x) {
                *y = x - most - log_sum;
            }
        }
    }
}

#[inline(always)]
fn gradients<T: Float>(softmax: Softmax, d_x: &mut [T], y: &[T], d_y: &[T]) {
    match softmax {
        Softmax::Probability => {
            let along = sum2(d_y, y, |d_y, y| d_y * y);
            for ((d_x, &y), &d_y) in d_x.iter_mut().zip(y).zip(d_y) {
                *d_x = y * (d_y - along);
            }
        }
        Softmax::Logarithm => {
            let whole = sum(d_y, |d_y| d_y);
            for ((d_x, &y), &d_y) in d_x.iter_mut().zip(y).zip(d_y) {
                *d_x = d_y - y.exp() * whole;
            }
        }
    }
}

/// Runs `body(output, x, other)` on every row.
fn rows<T: Float>(
    softmax: Softmax,
    x: &Tensor,
    other: &Tensor,
    body: impl Fn(&mut [T], &[T], &[T]) + Sync,
) -> Result<Tensor> {
    let Device::Cpu(cpu) = x.device() else {
        return Err(Error::device(softmax.name(), "expected CPU tensors"));
    };
    let (sizes, columns) = (x.sizes(), x.shape().last());
    let (x, other) = (x.cpu::<T>(softmax.name())?, other.cpu::<T>(softmax.name())?);
    Tensor::on_cpu(&cpu, sizes, |output: &mut [T]| {
        for_rows(output, columns, columns * COST, |first, block| {
            vectorized(
                #[inline(always)]
                || {
                    for (row, output) in (first..).zip(block.chunks_exact_mut(columns)) {
                        let range = row * columns..(row + 1) * columns;
                        body(output, &x[range.clone()], &other[range]);
                    }
                },
            );
        });
    })
}
