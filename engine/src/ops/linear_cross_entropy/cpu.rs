//! The head with its loss on the CPU.

use super::{Computed, IGNORED, NAME, Request};
use crate::device::cpu::float::{Float, vectorized};
use crate::device::cpu::gemm::{Layout, Sizes, product_parallel};
use crate::device::cpu::threads::{for_rows, for_rows2};
use crate::error::{Error, Result};
use crate::ops::cross_entropy::refuse_unknown;
use crate::tensor::Tensor;
use crate::{DType, Device};

/// Elementary steps of one logit, for the choice of threads.
const LOGIT_COST: usize = 16;
/// Stands for the target's logit in the sum over all others, where it counts as nothing.
const LOWEST: f64 = -1e30;
/// Below this e^x is taken as 0: far under what rounding leaves of a share of the softmax, and products with numbers near
/// the smallest would be many times slower.
const LEAST_EXPONENT: f64 = -60.0;
/// The same for `f64`.
const LEAST_EXPONENT_F64: f64 = -600.0;
/// Sums and maxima over a row run in so many lanes, which vectors of every width divide.
const LANES: usize = 16;

pub(super) fn compute(request: Request, inputs: &[&Tensor]) -> Result<Computed> {
    match inputs[0].dtype() {
        DType::F64 => typed::<f64>(request, inputs),
        _ => typed::<f32>(request, inputs),
    }
}

fn typed<T: Float>(request: Request, inputs: &[&Tensor]) -> Result<Computed> {
    let Request { cap, gradients, per_block } = request;
    let Device::Cpu(device) = inputs[0].device() else {
        return Err(Error::device(NAME, "expected CPU tensors"));
    };
    let (vocabulary, depth) = (inputs[1].sizes()[0], inputs[1].sizes()[1]);
    let (hidden, weight) = (inputs[0].cpu::<T>(NAME)?, inputs[1].cpu::<T>(NAME)?);
    let targets = inputs[2].cpu::<u32>(NAME)?;
    refuse_unknown(NAME, targets, vocabulary)?;
    let kept = targets.iter().filter(|&&target| target != IGNORED).count();
    // Blocks write all of an output, except where no row counts.
    let output = |of: &Tensor| {
        Tensor::on_cpu(&device, of.sizes(), |out: &mut [T]| {
            if kept == 0 {
                out.fill(T::ZERO);
            }
        })
    };
    let mut rows = output(inputs[2])?;
    let mut saved = match gradients {
        true => Some((output(inputs[0])?, output(inputs[1])?)),
        false => None,
    };
    let mut logits = Tensor::on_cpu(&device, &[per_block, vocabulary], |_: &mut [T]| {})?;
    let logits = logits.cpu_mut::<T>(NAME)?;
    let head = Head { cap: cap.map(T::from_f64), scale: gradients.then(|| T::from_f64(1.0 / kept.max(1) as f64)) };
    let losses = rows.cpu_mut::<T>(NAME)?;
    for first in (0..if kept == 0 { 0 } else { targets.len() }).step_by(per_block) {
        let count = per_block.min(targets.len() - first);
        let logits = &mut logits[..count * vocabulary];
        let hidden = (hidden, Layout::row_major(depth).at(first * depth));
        let weight = (weight, Layout::row_major(depth));
        let sizes = Sizes { rows: count, columns: vocabulary, depth };
        let columns = Layout::row_major(vocabulary);
        let transposed = (weight.0, weight.1.transposed());
        product_parallel(sizes, T::ONE, hidden, transposed, T::ZERO, (&mut *logits, columns));
        let targets = &targets[first..first + count];
        for_rows2(
            (&mut *logits, vocabulary),
            (&mut losses[first..first + count], 1),
            vocabulary * LOGIT_COST,
            |begin, logits, losses| {
                let rows = logits.chunks_mut(vocabulary).zip(losses).zip(&targets[begin..]);
                vectorized(
                    #[inline(always)]
                    || rows.for_each(|((logits, loss), &target)| *loss = head.row(logits, target)),
                );
            },
        );
        if let Some((d_hidden, d_weight)) = &mut saved {
            let logits: &[T] = logits;
            let output = (d_hidden.cpu_mut::<T>(NAME)?, hidden.1);
            let sizes = Sizes { rows: count, columns: depth, depth: vocabulary };
            product_parallel(sizes, T::ONE, (logits, columns), weight, T::ZERO, output);
            let output = (d_weight.cpu_mut::<T>(NAME)?, weight.1);
            let sizes = Sizes { rows: vocabulary, columns: depth, depth: count };
            let beta = if first == 0 { T::ZERO } else { T::ONE };
            product_parallel(sizes, T::ONE, (logits, columns.transposed()), hidden, beta, output);
        }
    }
    let sum: f64 = losses.iter().map(|loss| loss.to_f64()).sum();
    let loss = Tensor::new(&Device::Cpu(device), &[1], &[T::from_f64(sum / kept.max(1) as f64)])?;
    Ok(Computed { loss, rows, gradients: saved })
}

/// What is done to a row of logits.
#[derive(Clone, Copy)]
struct Head<T> {
    cap: Option<T>,
    /// 1 / K where gradients are wanted.
    scale: Option<T>,
}

impl<T: Float> Head<T> {
    /// The row's loss; the logits become their gradients if those are wanted.
    #[inline(always)]
    fn row(self, logits: &mut [T], target: u32) -> T {
        match self.cap {
            _ if target == IGNORED => {
                logits.fill(T::ZERO);
                T::ZERO
            }
            None => self.counted(logits, target as usize, |x| x, |_| T::ONE),
            Some(cap) => {
                let inverse = T::ONE / cap;
                let four = T::from_f64(4.0);
                // dz / dx = 1 - tanh²(x / cap) = 4e / (1 + e)² with e = e^(-2|x| / cap), which does not cancel where tanh is
                // near 1.
                let slope = |x: T| {
                    let e = (T::from_f64(-2.0) * (x * inverse).abs()).exp();
                    four * e / ((T::ONE + e) * (T::ONE + e))
                };
                self.counted(logits, target as usize, |x| cap * (x * inverse).tanh(), slope)
            }
        }
    }

    /// The same for a row that counts; `capped` is z of a logit, which grows with it, and `slope` dz / dx.
    #[inline(always)]
    fn counted(self, logits: &mut [T], target: usize, capped: impl Fn(T) -> T, slope: impl Fn(T) -> T) -> T {
        let largest = capped(largest(logits));
        let target_logit = logits[target];
        let at_target = capped(target_logit);
        // The sum over all columns but the target's: where the target has nearly all of the softmax, 1 minus its share
        // would be nothing but rounding.
        let lowest = T::from_f64(LOWEST);
        logits[target] = lowest;
        let mut lanes = [T::ZERO; LANES];
        let least = T::from_f64(if T::DTYPE == DType::F64 { LEAST_EXPONENT_F64 } else { LEAST_EXPONENT });
        let step = |sum: &mut T, logit: &mut T| {
            let x = capped(*logit) - largest;
            let e = x.max(least).exp();
            let e = if x < least || *logit == lowest { T::ZERO } else { e };
            *sum += e;
            *logit = e * slope(*logit);
        };
        let (chunks, rest) = logits.as_chunks_mut::<LANES>();
        for chunk in chunks {
            lanes.iter_mut().zip(chunk).for_each(|(sum, logit)| step(sum, logit));
        }
        lanes.iter_mut().zip(rest).for_each(|(sum, logit)| step(sum, logit));
        let others = lanes.into_iter().sum::<T>();
        let sum = others + (at_target - largest).exp();
        if let Some(scale) = self.scale {
            let share = scale / sum;
            logits.iter_mut().for_each(|e| *e *= share);
            logits[target] = -(others * share) * slope(target_logit);
        }
        if at_target == largest && others < T::ONE {
            return others.ln_1p_unit();
        }
        sum.ln() + (largest - at_target)
    }
}

/// The largest of a row, in lanes so that it is vectorised; not a number if the first is not.
#[inline(always)]
fn largest<T: Float>(values: &[T]) -> T {
    let mut lanes = [values[0]; LANES];
    let (chunks, rest) = values.as_chunks::<LANES>();
    for chunk in chunks {
        lanes.iter_mut().zip(chunk).for_each(|(lane, &value)| *lane = Float::max(*lane, value));
    }
    lanes.iter_mut().zip(rest).for_each(|(lane, &value)| *lane = Float::max(*lane, value));
    lanes.into_iter().fold(values[0], Float::max)
}

/// A saved gradient times the upstream one.
pub(super) fn scale(gradient: &Tensor, d_loss: &Tensor) -> Result<Tensor> {
    match gradient.dtype() {
        DType::F64 => scaled::<f64>(gradient, d_loss),
        _ => scaled::<f32>(gradient, d_loss),
    }
}

fn scaled<T: Float>(gradient: &Tensor, d_loss: &Tensor) -> Result<Tensor> {
    let Device::Cpu(device) = gradient.device() else {
        return Err(Error::device(NAME, "expected CPU tensors"));
    };
    let factor = d_loss.cpu::<T>(NAME)?[0];
    if factor == T::ONE {
        return Ok(gradient.clone());
    }
    let from = gradient.cpu::<T>(NAME)?;
    Tensor::on_cpu(&device, gradient.sizes(), |output: &mut [T]| {
        for_rows(output, 1, 1, |first, block| {
            block.iter_mut().zip(&from[first..]).for_each(|(out, &x)| *out = x * factor);
        });
    })
}
