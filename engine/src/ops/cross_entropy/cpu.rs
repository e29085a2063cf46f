//! Cross-entropy on the CPU.

use super::{Computed, IGNORED, NAME, Reduction};
use crate::DType;
use crate::device::Device;
use crate::device::cpu::float::{Float, vectorized};
use crate::device::cpu::threads::{for_rows, for_rows2};
use crate::error::{Error, Result};
use crate::operation::Context;
use crate::ops::rows::{highest, sum};
use crate::tensor::Tensor;

/// Elementary steps of one logit, for the choice of threads.
const LOGIT_COST: usize = 12;
/// Numbers kept of a row: largest logit, sum without the target's column, sum.
const KEPT: usize = 3;

/// Refuses a target that is neither below `vocabulary` nor [`IGNORED`].
pub(crate) fn refuse_unknown(operation: &'static str, targets: &[u32], vocabulary: usize) -> Result<()> {
    match targets.iter().position(|&target| target != IGNORED && target as usize >= vocabulary) {
        None => Ok(()),
        Some(place) => {
            let target = targets[place];
            let message =
                format!("index {target} is not below {vocabulary}, the logits' columns; it is target {place}");
            Err(Error::index(operation, message))
        }
    }
}

pub(super) fn forward(reduction: Reduction, logits: &Tensor, targets: &Tensor) -> Result<Computed> {
    match logits.dtype() {
        DType::F64 => computed::<f64>(reduction, logits, targets),
        _ => computed::<f32>(reduction, logits, targets),
    }
}

/// Largest logit, Σ e^(x − largest) without the target's column, and with it. What is not finite gives NaN.
#[inline(always)]
fn sums<T: Float>(logits: &[T], target: Option<usize>) -> [T; KEPT] {
    let most = highest(logits);
    let term = |x: T| (x - most).exp() + x * T::ZERO;
    let Some(target) = target else {
        let total = sum(logits, term);
        return [most, total, total];
    };
    let others = sum(&logits[..target], term) + sum(&logits[target + 1..], term);
    [most, others, others + term(logits[target])]
}

/// ln Σ e^(x − largest) of a row with that target.
#[inline(always)]
fn log_total<T: Float>([most, others, total]: [T; KEPT], at_target: Option<T>) -> T {
    if at_target == Some(most) && others < T::ONE { others.ln_1p_unit() } else { total.ln() }
}

fn computed<T: Float>(reduction: Reduction, logits: &Tensor, targets: &Tensor) -> Result<Computed> {
    let Device::Cpu(device) = logits.device() else {
        return Err(Error::device(NAME, "expected CPU tensors"));
    };
    let (shape, vocabulary) = (targets.sizes(), logits.shape().last());
    let (logits, targets) = (logits.cpu::<T>(NAME)?, targets.cpu::<u32>(NAME)?);
    refuse_unknown(NAME, targets, vocabulary)?;
    let row = |row: usize| &logits[row * vocabulary..][..vocabulary];
    let target = |row: usize| (targets[row] != IGNORED).then_some(targets[row] as usize);
    let kept_shape: Vec<usize> = shape.iter().copied().chain([KEPT]).collect();
    let rows = Tensor::on_cpu(&device, &kept_shape, |out: &mut [T]| {
        for_rows(out, KEPT, vocabulary * LOGIT_COST, |first, block| {
            vectorized(
                #[inline(always)]
                || {
                    for (at, out) in (first..).zip(block.chunks_exact_mut(KEPT)) {
                        out.copy_from_slice(&sums(row(at), target(at)));
                    }
                },
            );
        });
    })?;
    let (kept, _) = rows.cpu::<T>(NAME)?.as_chunks::<KEPT>();
    let mut losses = Tensor::on_cpu(&device, shape, |_: &mut [T]| {})?;
    let mut log_sum_exp = Tensor::on_cpu(&device, shape, |_: &mut [T]| {})?;
    for_rows2(
        (losses.cpu_mut::<T>(NAME)?, 1),
        (log_sum_exp.cpu_mut::<T>(NAME)?, 1),
        LOGIT_COST,
        |first, losses, log_sum_exp| {
            for ((at, loss), log_sum_exp) in (first..).zip(losses).zip(log_sum_exp) {
                let at_target = target(at).map(|target| row(at)[target]);
                let log_sum = log_total(kept[at], at_target);
                *log_sum_exp = kept[at][0] + log_sum;
                *loss = at_target.map_or(T::ZERO, |at_target| log_sum + (kept[at][0] - at_target));
            }
        },
    );
    let count = targets.iter().filter(|&&target| target != IGNORED).count();
    let inverse = match reduction {
        Reduction::Mean if count == 0 => 0.0,
        Reduction::Mean => 1.0 / count as f64,
        Reduction::Sum | Reduction::None => 1.0,
    };
    let cpu = Device::Cpu(device);
    let loss = match reduction {
        Reduction::None => losses,
        Reduction::Mean | Reduction::Sum => {
            let sum: f64 = losses.cpu::<T>(NAME)?.iter().map(|loss| loss.to_f64()).sum();
            Tensor::new(&cpu, &[1], &[T::from_f64(sum * inverse)])?
        }
    };
    Ok(Computed { loss, log_sum_exp, rows, inverse: Tensor::new(&cpu, &[1], &[T::from_f64(inverse)])? })
}

pub(super) fn backward(reduction: Reduction, context: &Context) -> Result<Tensor> {
    match context.input(0)?.dtype() {
        DType::F64 => gradient::<f64>(reduction, context),
        _ => gradient::<f32>(reduction, context),
    }
}

fn gradient<T: Float>(reduction: Reduction, context: &Context) -> Result<Tensor> {
    let logits = context.input(0)?;
    let Device::Cpu(device) = logits.device() else {
        return Err(Error::device(NAME, "expected CPU tensors"));
    };
    let (shape, vocabulary) = (logits.sizes(), logits.shape().last());
    let (logits, targets) = (logits.cpu::<T>(NAME)?, context.input(1)?.cpu::<u32>(NAME)?);
    let (kept, _) = context.output(2)?.cpu::<T>(NAME)?.as_chunks::<KEPT>();
    let inverse = context.output(3)?.cpu::<T>(NAME)?[0];
    let given = |place: usize| context.d_outputs[place].as_ref().map(|d| d.cpu::<T>(NAME)).transpose();
    let (d_loss, d_log_sum_exp) = (given(0)?, given(1)?);
    let of_loss = |row: usize| match reduction {
        _ if targets[row] == IGNORED => T::ZERO,
        Reduction::None => d_loss.map_or(T::ZERO, |d| d[row]),
        Reduction::Mean | Reduction::Sum => d_loss.map_or(T::ZERO, |d| d[0] * inverse),
    };
    Tensor::on_cpu(&device, shape, |out: &mut [T]| {
        for_rows(out, vocabulary, vocabulary * LOGIT_COST, |first, block| {
            vectorized(
                #[inline(always)]
                || {
                    for (at, out) in (first..).zip(block.chunks_exact_mut(vocabulary)) {
                        let ([most, others, total], d_loss) = (kept[at], of_loss(at));
                        let d_log_sum_exp = d_log_sum_exp.map_or(T::ZERO, |d| d[at]);
                        // Nothing flows to an ignored row, whatever its logits are.
                        if d_loss == T::ZERO && d_log_sum_exp == T::ZERO {
                            out.fill(T::ZERO);
                            continue;
                        }
                        let factor = (d_loss + d_log_sum_exp) / total;
                        for (out, &x) in out.iter_mut().zip(&logits[at * vocabulary..]) {
                            *out = (x - most).exp() * factor;
                        }
                        if targets[at] != IGNORED {
                            let target = targets[at] as usize;
                            let own = (logits[at * vocabulary + target] - most).exp();
                            out[target] = (own * d_log_sum_exp - others * d_loss) / total;
                        }
                    }
                },
            );
        });
    })
}
