//! The optimizer on the CPU: fixed blocks, so that results do not depend on the number of threads.

use rayon::prelude::*;

use super::state::Scalars;
use super::{AdamW, LEAST_SCALE, MOST_SCALE, Moments, NAME, Parameter, Report};
use crate::DType;
use crate::device::cpu::float::{Float, vectorized};
use crate::error::Result;
use crate::tensor::Tensor;

/// Elements a block, of sums and of updates.
const BLOCK: usize = 16 * 1024;
/// Sums within a block run in so many lanes, which vectors of every width divide.
const LANES: usize = 32;

pub(super) fn step(
    report: &mut Report,
    scalars: Scalars,
    (options, interval): (&AdamW, u64),
    parameters: &[Parameter],
    weights: &mut [Tensor],
    gradients: &[Tensor],
    moments: &mut [Moments],
) -> Result<()> {
    let (mut sum, mut first_bad) = (0.0, None);
    for (place, gradient) in gradients.iter().enumerate() {
        let squares = match gradient.dtype() {
            DType::F64 => sum_of_squares(gradient.cpu::<f64>(NAME)?),
            _ => sum_of_squares(gradient.cpu::<f32>(NAME)?),
        };
        if !squares.is_finite() {
            first_bad = first_bad.or(Some(place));
        }
        sum += squares;
    }
    let finite = first_bad.is_none() && sum.is_finite();
    let loss_scale = report.next_loss_scale;
    let gradient_norm = sum.sqrt() / loss_scale;
    let clip = match options.max_norm {
        Some(most) if finite => (most / (gradient_norm + 1e-6)).min(1.0),
        _ => 1.0,
    };
    let (next_loss_scale, in_a_row) = next_scale(loss_scale, report.in_a_row, finite, interval);
    *report = Report {
        step: scalars.step,
        applied: report.applied + u64::from(finite),
        learning_rate: scalars.learning_rate,
        loss_scale,
        finite,
        first_bad,
        gradient_norm,
        clip,
        next_loss_scale,
        in_a_row,
    };
    if !finite {
        return Ok(());
    }
    for ((parameter, weight), (gradient, moments)) in parameters.iter().zip(weights).zip(gradients.iter().zip(moments))
    {
        match parameter.spec.dtype {
            DType::F64 => update::<f64>(report, options, parameter, weight, gradient, moments)?,
            _ => update::<f32>(report, options, parameter, weight, gradient, moments)?,
        }
    }
    Ok(())
}

/// The loss scale of the next step, and how many steps in a row were applied since it changed.
fn next_scale(scale: f64, in_a_row: u64, finite: bool, interval: u64) -> (f64, u64) {
    match (interval, finite) {
        (0, true) => (scale, in_a_row + 1),
        (0, false) => (scale, 0),
        (_, false) => ((0.5 * scale).max(LEAST_SCALE), 0),
        (_, true) if in_a_row + 1 >= interval => ((2.0 * scale).min(MOST_SCALE), 0),
        (_, true) => (scale, in_a_row + 1),
    }
}

/// Σ x², in f64 over blocks that are summed in their own type. Not finite if an element is not, or its square.
fn sum_of_squares<T: Float>(values: &[T]) -> f64 {
    let block = |values: &[T]| {
        vectorized(
            #[inline(always)]
            || {
                let mut lanes = [T::ZERO; LANES];
                let mut chunks = values.chunks_exact(LANES);
                for chunk in &mut chunks {
                    for (sum, &x) in lanes.iter_mut().zip(chunk) {
                        *sum += x * x;
                    }
                }
                for (sum, &x) in lanes.iter_mut().zip(chunks.remainder()) {
                    *sum += x * x;
                }
                lanes.iter().map(|sum| sum.to_f64()).sum::<f64>()
            },
        )
    };
    if values.len() <= 2 * BLOCK {
        return values.chunks(BLOCK).map(block).sum();
    }
    values.par_chunks(BLOCK).map(block).collect::<Vec<_>>().into_iter().sum()
}

/// The factors of one tensor's update.
#[derive(Clone, Copy)]
struct Factors<T> {
    keep: T,
    gradient: T,
    beta1: T,
    beta2: T,
    rest1: T,
    rest2: T,
    rate: T,
    root: T,
    epsilon: T,
}

fn update<T: Float>(
    report: &Report,
    options: &AdamW,
    parameter: &Parameter,
    weight: &mut Tensor,
    gradient: &Tensor,
    moments: &mut Moments,
) -> Result<()> {
    // 1 − βᵗ as −expm1(t·ln β): exact also where βᵗ is near 1.
    let correction = |beta: f64| -(report.applied as f64 * beta.ln()).exp_m1();
    let factors = Factors {
        keep: T::from_f64(1.0 - report.learning_rate * parameter.weight_decay),
        gradient: T::from_f64(report.clip / report.loss_scale),
        beta1: T::from_f64(options.beta1),
        beta2: T::from_f64(options.beta2),
        rest1: T::from_f64(1.0 - options.beta1),
        rest2: T::from_f64(1.0 - options.beta2),
        rate: T::from_f64(report.learning_rate / correction(options.beta1)),
        root: T::from_f64(1.0 / correction(options.beta2).sqrt()),
        epsilon: T::from_f64(options.epsilon),
    };
    let gradient = gradient.cpu::<T>(NAME)?;
    let (weight, first) = (weight.cpu_mut::<T>(NAME)?, moments.first.cpu_mut::<T>(NAME)?);
    let second = moments.second.cpu_mut::<T>(NAME)?;
    if weight.len() <= 2 * BLOCK {
        update_block(factors, weight, gradient, first, second);
        return Ok(());
    }
    let blocks = weight.par_chunks_mut(BLOCK).zip(gradient.par_chunks(BLOCK));
    let moments = first.par_chunks_mut(BLOCK).zip(second.par_chunks_mut(BLOCK));
    blocks.zip(moments).for_each(|((weight, gradient), (first, second))| {
        update_block(factors, weight, gradient, first, second);
    });
    Ok(())
}

fn update_block<T: Float>(factors: Factors<T>, weight: &mut [T], gradient: &[T], first: &mut [T], second: &mut [T]) {
    vectorized(
        #[inline(always)]
        || {
            let moments = first.iter_mut().zip(second);
            for ((w, &g), (m, v)) in weight.iter_mut().zip(gradient).zip(moments) {
                let g = g * factors.gradient;
                *m = factors.beta1 * *m + factors.rest1 * g;
                *v = factors.beta2 * *v + factors.rest2 * g * g;
                *w = factors.keep * *w - factors.rate * *m / (v.sqrt() * factors.root + factors.epsilon);
            }
        },
    );
}
