//! Normalisation on the CPU: rows in fixed blocks, each row read while it is in the cache.

use super::{Norm, Rows};
use crate::DType;
use crate::device::cpu::float::{Float, vectorized};
use crate::device::cpu::threads::{for_items, for_rows, rows_per_block};
use crate::device::{Cpu, Device};
use crate::error::{Error, Result};
use crate::operation::{Context, Forward};
use crate::ops::rows::{sum, sum3};
use crate::tensor::Tensor;

/// Elementary steps an element costs, without and with a gate.
fn cost(norm: Norm) -> usize {
    if norm.kind.gated() { 24 } else { 4 }
}

fn cpu_of(norm: Norm, tensor: &Tensor) -> Result<Cpu> {
    match tensor.device() {
        Device::Cpu(cpu) => Ok(cpu),
        Device::Gpu(_) => Err(Error::device(norm.name(), "expected CPU tensors")),
    }
}

pub(super) fn forward(norm: Norm, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
    let output = match inputs[0].dtype() {
        DType::F64 => typed_forward::<f64>(norm, inputs),
        _ => typed_forward::<f32>(norm, inputs),
    }?;
    Ok(vec![output])
}

pub(super) fn backward(norm: Norm, context: &Context) -> Result<Vec<Option<Tensor>>> {
    match context.input_specs[0].dtype {
        DType::F64 => typed_backward::<f64>(norm, context),
        _ => typed_backward::<f32>(norm, context),
    }
}

/// The mean (0 if it is not taken out) and 1 / √(mean square of the rest + ε).
#[inline(always)]
fn statistics<T: Float>(norm: Norm, x: &[T]) -> (T, T) {
    let share = T::ONE / T::from_f64(x.len() as f64);
    let mean = if norm.kind.centred() { sum(x, |x| x) * share } else { T::ZERO };
    let squares = sum(x, |x| (x - mean) * (x - mean));
    (mean, T::ONE / (squares * share + T::from_f64(norm.epsilon)).sqrt())
}

fn typed_forward<T: Float>(norm: Norm, inputs: &[&Tensor]) -> Result<Tensor> {
    let cpu = cpu_of(norm, inputs[0])?;
    let Rows { heads, columns, .. } = norm.kind.rows(inputs[0].sizes());
    let (x, weight) = (inputs[0].cpu::<T>(norm.name())?, inputs[1].cpu::<T>(norm.name())?);
    let gate = inputs.get(2).map(|gate| gate.cpu::<T>(norm.name())).transpose()?;
    let specs: Vec<_> = inputs.iter().map(|input| input.spec()).collect();
    let shape = norm.outputs(&specs)?[0].shape;
    Tensor::on_cpu(&cpu, shape.sizes(), |output: &mut [T]| {
        for_rows(output, columns, columns * cost(norm), |first, block| {
            vectorized(
                #[inline(always)]
                || {
                    for (row, y) in (first..).zip(block.chunks_exact_mut(columns)) {
                        let x = &x[row * columns..][..columns];
                        let weight = &weight[row % heads * columns..][..columns];
                        let (mean, r) = statistics(norm, x);
                        if let Some(gate) = gate {
                            let gate = &gate[row * columns..][..columns];
                            for (((y, &x), &w), &o) in y.iter_mut().zip(x).zip(weight).zip(gate) {
                                *y = o.sigmoid() * ((x - mean) * r * w);
                            }
                        } else {
                            for ((y, &x), &w) in y.iter_mut().zip(x).zip(weight) {
                                *y = (x - mean) * r * w;
                            }
                        }
                    }
                },
            );
        });
    })
}

/// One row's tensors in the backward. `upstream` is dy, or dy · σ(o) with a gate.
struct Row<'a, T> {
    x: &'a [T],
    weight: &'a [T],
    upstream: &'a [T],
    d_x: &'a mut [T],
    d_weight: &'a mut [T],
}

/// Writes d_x, adds to d_weight, and gives back the mean and r.
#[inline(always)]
fn backward_row<T: Float>(norm: Norm, row: Row<T>) -> (T, T) {
    let Row { x, weight, upstream, d_x, d_weight } = row;
    let columns = x.len();
    let share = T::ONE / T::from_f64(columns as f64);
    let (mean, r) = statistics(norm, x);
    let mean_g = if norm.kind.centred() { sum3(upstream, weight, x, |u, w, _| u * w) * share } else { T::ZERO };
    let along = sum3(upstream, weight, x, |u, w, x| u * w * (x - mean)) * share * r * r;
    let (weight, upstream) = (&weight[..columns], &upstream[..columns]);
    let (d_x, d_weight) = (&mut d_x[..columns], &mut d_weight[..columns]);
    for at in 0..columns {
        d_x[at] = r * (upstream[at] * weight[at] - mean_g - (x[at] - mean) * along);
    }
    for at in 0..columns {
        d_weight[at] += upstream[at] * ((x[at] - mean) * r);
    }
    (mean, r)
}

fn typed_backward<T: Float>(norm: Norm, context: &Context) -> Result<Vec<Option<Tensor>>> {
    let (name, d_y) = (norm.name(), context.d_output(0)?);
    let cpu = cpu_of(norm, d_y)?;
    let Rows { tokens, heads, columns } = norm.kind.rows(context.input_specs[0].shape.sizes());
    let width = heads * columns;
    let (x, weight, d_y) = (context.input(0)?.cpu::<T>(name)?, context.input(1)?.cpu::<T>(name)?, d_y.cpu::<T>(name)?);
    let gate = if norm.kind.gated() { Some(context.input(2)?.cpu::<T>(name)?) } else { None };
    let tokens_per_block = rows_per_block(tokens, width * cost(norm));
    let blocks = tokens.div_ceil(tokens_per_block);

    let mut partial = vec![T::ZERO; blocks * width];
    let mut run = |d_x: &mut [T], d_gate: &mut [T]| {
        if width == 0 {
            return;
        }
        let chunk = tokens_per_block * width;
        let mut d_gates = d_gate.chunks_mut(chunk);
        let items: Vec<_> = d_x
            .chunks_mut(chunk)
            .zip(partial.chunks_mut(width))
            .map(|(d_x, partial)| (d_x, partial, d_gates.next().unwrap_or_default()))
            .collect();
        for_items(items, blocks > 1, |block, (d_x, partial, d_gate)| {
            let mut upstream = vec![T::ZERO; columns];
            vectorized(
                #[inline(always)]
                || {
                    for (at, d_x) in d_x.chunks_exact_mut(columns).enumerate() {
                        let (head, first) = (at % heads, block * chunk + at * columns);
                        let (x, d_y) = (&x[first..][..columns], &d_y[first..][..columns]);
                        let weight = &weight[head * columns..][..columns];
                        let d_weight = &mut partial[head * columns..][..columns];
                        let Some(gate) = gate else {
                            backward_row(norm, Row { x, weight, upstream: d_y, d_x, d_weight });
                            continue;
                        };
                        let gate = &gate[first..][..columns];
                        let d_gate = &mut d_gate[at * columns..][..columns];
                        // d_gate holds 1 − σ(o) at first; both halves of the sigmoid from one exp, without cancellation.
                        for (((closing, u), &o), &d_y) in d_gate.iter_mut().zip(&mut upstream).zip(gate).zip(d_y) {
                            let e = (-o.abs()).exp();
                            let large = T::ONE / (T::ONE + e);
                            let small = e * large;
                            let negative = o < T::ZERO;
                            *closing = if negative { large } else { small };
                            *u = d_y * if negative { small } else { large };
                        }
                        let (mean, r) = backward_row(norm, Row { x, weight, upstream: &upstream, d_x, d_weight });
                        for (((closing, &u), &x), &w) in d_gate.iter_mut().zip(&upstream).zip(x).zip(weight) {
                            *closing = u * ((x - mean) * r * w) * *closing;
                        }
                    }
                },
            );
        });
    };
    let sizes = context.input_specs[0].shape.sizes();
    let (d_x, d_gate) = if norm.kind.gated() {
        let mut d_x = None;
        let d_gate = Tensor::on_cpu(&cpu, context.input_specs[2].shape.sizes(), |d_gate: &mut [T]| {
            d_x = Some(Tensor::on_cpu(&cpu, sizes, |d_x: &mut [T]| run(d_x, d_gate)));
        })?;
        (d_x.transpose()?, Some(d_gate))
    } else {
        (Some(Tensor::on_cpu(&cpu, sizes, |d_x: &mut [T]| run(d_x, &mut []))?), None)
    };
    let d_weight = Tensor::on_cpu(&cpu, &[width], |d_weight: &mut [T]| {
        d_weight.fill(T::ZERO);
        for partial in partial.chunks_exact(width.max(1)) {
            for (sum, &part) in d_weight.iter_mut().zip(partial) {
                *sum += part;
            }
        }
    })?;
    let mut gradients = vec![d_x, Some(d_weight)];
    if norm.kind.gated() {
        gradients.push(d_gate);
    }
    Ok(gradients)
}
