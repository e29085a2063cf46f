//! SwiGLU on the CPU.

use super::SwiGlu;
use crate::DType;
use crate::device::cpu::float::{Float, vectorized};
use crate::device::cpu::threads::{for_rows, for_rows2};
use crate::device::{Cpu, Device};
use crate::error::{Error, Result};
use crate::operation::{Context, Forward};
use crate::tensor::Tensor;

/// Elementary steps an element costs: an exp and a division.
const COST: usize = 16;

fn cpu_of(layout: SwiGlu, tensor: &Tensor) -> Result<Cpu> {
    match tensor.device() {
        Device::Cpu(cpu) => Ok(cpu),
        Device::Gpu(_) => Err(Error::device(layout.name(), "expected CPU tensors")),
    }
}

pub(super) fn forward(layout: SwiGlu, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
    let output = match inputs[0].dtype() {
        DType::F64 => typed_forward::<f64>(layout, inputs),
        _ => typed_forward::<f32>(layout, inputs),
    }?;
    Ok(vec![output])
}

pub(super) fn backward(layout: SwiGlu, context: &Context) -> Result<Vec<Option<Tensor>>> {
    match context.input_specs[0].dtype {
        DType::F64 => typed_backward::<f64>(layout, context),
        _ => typed_backward::<f32>(layout, context),
    }
}

#[inline(always)]
fn values<T: Float>(y: &mut [T], gate: &[T], up: &[T]) {
    for ((y, &g), &u) in y.iter_mut().zip(gate).zip(up) {
        *y = g * g.sigmoid() * u;
    }
}

#[inline(always)]
fn gradients<T: Float>(d_gate: &mut [T], d_up: &mut [T], d_y: &[T], gate: &[T], up: &[T]) {
    for ((((d_gate, d_up), &d_y), &g), &u) in d_gate.iter_mut().zip(d_up).zip(d_y).zip(gate).zip(up) {
        let s = g.sigmoid();
        *d_gate = d_y * u * s * (T::ONE + g * (-g).sigmoid());
        *d_up = d_y * g * s;
    }
}

fn typed_forward<T: Float>(layout: SwiGlu, inputs: &[&Tensor]) -> Result<Tensor> {
    let cpu = cpu_of(layout, inputs[0])?;
    let specs: Vec<_> = inputs.iter().map(|input| input.spec()).collect();
    let shape = layout.outputs(&specs)?[0].shape;
    let gate = inputs[0].cpu::<T>(layout.name())?;
    match layout {
        SwiGlu::Separate => {
            let up = inputs[1].cpu::<T>(layout.name())?;
            Tensor::on_cpu(&cpu, shape.sizes(), |y: &mut [T]| {
                for_rows(y, 1, COST, |first, y| {
                    vectorized(
                        #[inline(always)]
                        || values(y, &gate[first..][..y.len()], &up[first..][..y.len()]),
                    );
                });
            })
        }
        SwiGlu::Packed => {
            let columns = shape.last();
            Tensor::on_cpu(&cpu, shape.sizes(), |y: &mut [T]| {
                for_rows(y, columns, columns * COST, |first, y| {
                    vectorized(
                        #[inline(always)]
                        || {
                            for (row, y) in (first..).zip(y.chunks_exact_mut(columns)) {
                                let (gate, up) = gate[row * 2 * columns..][..2 * columns].split_at(columns);
                                values(y, gate, up);
                            }
                        },
                    );
                });
            })
        }
    }
}

fn typed_backward<T: Float>(layout: SwiGlu, context: &Context) -> Result<Vec<Option<Tensor>>> {
    let name = layout.name();
    let cpu = cpu_of(layout, context.d_output(0)?)?;
    let d_y = context.d_output(0)?.cpu::<T>(name)?;
    let gate = context.input(0)?.cpu::<T>(name)?;
    let sizes = context.input_specs[0].shape.sizes();
    match layout {
        SwiGlu::Separate => {
            let up = context.input(1)?.cpu::<T>(name)?;
            let mut d_up = None;
            let d_gate = Tensor::on_cpu(&cpu, sizes, |d_gate: &mut [T]| {
                d_up = Some(Tensor::on_cpu(&cpu, sizes, |d_up: &mut [T]| {
                    for_rows2((d_gate, 1), (d_up, 1), COST, |first, d_gate, d_up| {
                        let range = first..first + d_gate.len();
                        vectorized(
                            #[inline(always)]
                            || gradients(d_gate, d_up, &d_y[range.clone()], &gate[range.clone()], &up[range]),
                        );
                    });
                }));
            })?;
            Ok(vec![Some(d_gate), d_up.transpose()?])
        }
        SwiGlu::Packed => {
            let columns = context.input_specs[0].shape.last() / 2;
            let d_x = Tensor::on_cpu(&cpu, sizes, |d_x: &mut [T]| {
                for_rows(d_x, 2 * columns, columns * COST, |first, d_x| {
                    vectorized(
                        #[inline(always)]
                        || {
                            for (row, d_x) in (first..).zip(d_x.chunks_exact_mut(2 * columns)) {
                                let (gate, up) = gate[row * 2 * columns..][..2 * columns].split_at(columns);
                                let (d_gate, d_up) = d_x.split_at_mut(columns);
                                gradients(d_gate, d_up, &d_y[row * columns..][..columns], gate, up);
                            }
                        },
                    );
                });
            })?;
            Ok(vec![Some(d_x)])
        }
    }
}
