//! Reductions on the CPU. Few long rows or columns are cut into fixed blocks, whose results are joined in order.

use std::ops::Range;

use super::Stage;
use crate::DType;
use crate::device::cpu::float::{Float, vectorized};
use crate::device::cpu::threads::{for_rows, map_blocks};
use crate::device::{Cpu, Device};
use crate::error::{Error, Result};
use crate::ops::rows;
use crate::tensor::{Spec, Tensor};

/// Below so many blocks [n, inner] the threads share a block; from there on each takes whole ones.
const FEW: usize = 64;
/// So many rows are added up before their sum is added to the others', which keeps the rounding errors of long sums small.
const SHORT_SUM: usize = 32;

fn cpu_of(name: &'static str, tensor: &Tensor) -> Result<Cpu> {
    match tensor.device() {
        Device::Cpu(cpu) => Ok(cpu),
        Device::Gpu(_) => Err(Error::device(name, "expected CPU tensors")),
    }
}

/// Writes the result of each block [n, inner] to its row of `output`, [outer, inner]. `rows(result, range)` reduces rows
/// `range` of [outer · n, inner] to one.
fn reduce<A: Copy + Default + Send>(
    Stage { outer, n, inner }: Stage,
    output: &mut [A],
    rows: impl Fn(&mut [A], Range<usize>) + Sync,
    join: impl Fn(&mut A, A),
) {
    if outer >= FEW {
        return for_rows(output, inner, n * inner, |first, block| {
            for (at, result) in (first..).zip(block.chunks_exact_mut(inner)) {
                rows(result, at * n..(at + 1) * n);
            }
        });
    }
    for (at, result) in output.chunks_exact_mut(inner.max(1)).enumerate() {
        let mut parts = map_blocks(n, inner, |range| {
            let mut part = vec![A::default(); inner];
            rows(&mut part, at * n + range.start..at * n + range.end);
            part
        })
        .into_iter();
        match parts.next() {
            Some(first) => result.copy_from_slice(&first),
            None => result.fill(A::default()),
        }
        for part in parts {
            result.iter_mut().zip(part).for_each(|(result, part)| join(result, part));
        }
    }
}

pub(super) fn sum(name: &'static str, x: &Tensor, stages: &[Stage], factor: f64) -> Result<Tensor> {
    match x.dtype() {
        DType::F64 => typed_sum::<f64>(name, x, stages, factor),
        _ => typed_sum::<f32>(name, x, stages, factor),
    }
}

fn typed_sum<T: Float>(name: &'static str, x: &Tensor, stages: &[Stage], factor: f64) -> Result<Tensor> {
    let cpu = cpu_of(name, x)?;
    let mut result = x.clone();
    for (at, &stage) in (1..).zip(stages) {
        let factor = if at == stages.len() { T::from_f64(factor) } else { T::ONE };
        let x = result.cpu::<T>(name)?;
        result = Tensor::on_cpu(&cpu, &[stage.outputs()], |y: &mut [T]| {
            let rows = |sum: &mut [T], range: Range<usize>| {
                let x = &x[range.start * stage.inner..range.end * stage.inner];
                vectorized(
                    #[inline(always)]
                    || add_rows(sum, x),
                );
            };
            reduce(stage, y, rows, |sum, part| *sum += part);
            if factor != T::ONE {
                y.iter_mut().for_each(|y| *y *= factor);
            }
        })?;
    }
    Ok(result)
}

/// sum = the sum of the rows of x.
#[inline(always)]
fn add_rows<T: Float>(sum: &mut [T], x: &[T]) {
    let inner = sum.len();
    if let [sum] = sum {
        *sum = rows::sum(x, |x| x);
        return;
    }
    sum.fill(T::ZERO);
    let mut partial = vec![T::ZERO; inner];
    for rows in x.chunks(SHORT_SUM * inner) {
        partial.fill(T::ZERO);
        for row in rows.chunks_exact(inner) {
            partial.iter_mut().zip(row).for_each(|(sum, &x)| *sum += x);
        }
        sum.iter_mut().zip(&partial).for_each(|(sum, &part)| *sum += part);
    }
}

pub(super) fn spread(name: &'static str, d_y: &Tensor, stages: &[Stage], factor: f64) -> Result<Tensor> {
    match d_y.dtype() {
        DType::F64 => typed_spread::<f64>(name, d_y, stages, factor),
        _ => typed_spread::<f32>(name, d_y, stages, factor),
    }
}

fn typed_spread<T: Float>(name: &'static str, d_y: &Tensor, stages: &[Stage], factor: f64) -> Result<Tensor> {
    let cpu = cpu_of(name, d_y)?;
    let mut result = d_y.clone();
    for (at, &Stage { outer, n, inner }) in stages.iter().enumerate().rev() {
        // The gradient of the last stage comes first, and with it the factor.
        let factor = if at + 1 == stages.len() { T::from_f64(factor) } else { T::ONE };
        let d_y = result.cpu::<T>(name)?;
        result = Tensor::on_cpu(&cpu, &[outer * n * inner], |d_x: &mut [T]| {
            if n == 0 {
                return;
            }
            if inner > 1 {
                return for_rows(d_x, inner, inner, |first, block| {
                    for (row, d_x) in (first..).zip(block.chunks_exact_mut(inner)) {
                        let d_y = &d_y[row / n * inner..][..inner];
                        d_x.iter_mut().zip(d_y).for_each(|(d_x, &d_y)| *d_x = factor * d_y);
                    }
                });
            }
            if let [d_y] = d_y {
                return for_rows(d_x, 1, 1, |_, d_x| d_x.fill(factor * *d_y));
            }
            for_rows(d_x, n, n, |first, d_x| {
                for (d_x, &d_y) in d_x.chunks_exact_mut(n).zip(&d_y[first..]) {
                    d_x.fill(factor * d_y);
                }
            });
        })?;
    }
    Ok(result)
}

/// An element that may be the largest, and its place in x.
#[derive(Debug, Clone, Copy, Default)]
struct Candidate<T> {
    value: T,
    place: u32,
}

impl<T: Float> Candidate<T> {
    /// Takes a later one if it is larger, or the first that is not a number.
    #[inline(always)]
    fn meet(&mut self, later: Self) {
        let not_a_number = |x: T| x.partial_cmp(&x).is_none();
        if later.value > self.value || (not_a_number(later.value) && !not_a_number(self.value)) {
            *self = later;
        }
    }
}

/// The candidates left after all stages.
fn largest<T: Float>(name: &'static str, x: &Tensor, stages: &[Stage]) -> Result<Vec<Candidate<T>>> {
    let x = x.cpu::<T>(name)?;
    let mut found: Option<Vec<Candidate<T>>> = None;
    for &stage in stages {
        let mut next = vec![Candidate::default(); stage.outputs()];
        match &found {
            None if stage.inner == 1 => {
                let rows = |best: &mut [Candidate<T>], range: Range<usize>| {
                    let at = vectorized(
                        #[inline(always)]
                        || first_largest(&x[range.clone()]),
                    );
                    let place = range.start + at;
                    best[0] = Candidate { value: x[place], place: place as u32 };
                };
                reduce(stage, &mut next, rows, Candidate::meet);
            }
            None => {
                let at = |place: usize| Candidate { value: x[place], place: place as u32 };
                reduce(stage, &mut next, |best, range| best_rows(best, range, at), Candidate::meet);
            }
            Some(before) => {
                reduce(stage, &mut next, |best, range| best_rows(best, range, |at| before[at]), Candidate::meet);
            }
        }
        found = Some(next);
    }
    Ok(found.unwrap_or_default())
}

/// The place of the first of the largest in a row that is not empty.
#[inline(always)]
fn first_largest<T: Float>(row: &[T]) -> usize {
    const PARTS: usize = 32;
    let numbers = row.iter().fold(true, |all, x| all & x.partial_cmp(x).is_some());
    if !numbers {
        return row.iter().position(|x| x.partial_cmp(x).is_none()).unwrap_or(0);
    }
    let mut parts = [row[0]; PARTS];
    let chunks = row.chunks_exact(PARTS);
    let rest = chunks.remainder();
    for chunk in chunks {
        for at in 0..PARTS {
            parts[at] = parts[at].max(chunk[at]);
        }
    }
    let most = parts.iter().chain(rest).fold(row[0], |most, &x| most.max(x));
    row.iter().position(|&x| x == most).unwrap_or(0)
}

/// The best of rows `range` of [rows, inner] in each column.
fn best_rows<T: Float>(best: &mut [Candidate<T>], range: Range<usize>, at: impl Fn(usize) -> Candidate<T>) {
    let inner = best.len();
    for (row, first) in range.clone().map(|row| (row, row == range.start)) {
        for (column, best) in best.iter_mut().enumerate() {
            let candidate = at(row * inner + column);
            if first {
                *best = candidate;
            } else {
                best.meet(candidate);
            }
        }
    }
}

/// The largest elements, and their places in x.
pub(super) fn max(name: &'static str, x: &Tensor, stages: &[Stage]) -> Result<Vec<Tensor>> {
    match x.dtype() {
        DType::F64 => typed_max::<f64>(name, x, stages),
        _ => typed_max::<f32>(name, x, stages),
    }
}

fn typed_max<T: Float>(name: &'static str, x: &Tensor, stages: &[Stage]) -> Result<Vec<Tensor>> {
    let cpu = cpu_of(name, x)?;
    let found = largest::<T>(name, x, stages)?;
    let y = Tensor::on_cpu(&cpu, &[found.len()], |y: &mut [T]| {
        y.iter_mut().zip(&found).for_each(|(y, found)| *y = found.value);
    })?;
    Ok(vec![y, places(&cpu, &found, |place| place)?])
}

fn places<T: Float>(cpu: &Cpu, found: &[Candidate<T>], of: impl Fn(u32) -> u32) -> Result<Tensor> {
    Tensor::on_cpu(cpu, &[found.len()], |places: &mut [u32]| {
        places.iter_mut().zip(found).for_each(|(place, found)| *place = of(found.place));
    })
}

/// The indices of the largest elements along the middle dimension.
pub(super) fn argmax(name: &'static str, x: &Tensor, stage: Stage) -> Result<Tensor> {
    let cpu = cpu_of(name, x)?;
    let index = |place: u32| (place as usize / stage.inner % stage.n) as u32;
    match x.dtype() {
        DType::F64 => places(&cpu, &largest::<f64>(name, x, &[stage])?, index),
        _ => places(&cpu, &largest::<f32>(name, x, &[stage])?, index),
    }
}

/// d_x: d_y at the places of the largest elements, 0 elsewhere.
pub(super) fn scatter(name: &'static str, x: &Spec, places: &Tensor, d_y: &Tensor) -> Result<Tensor> {
    match d_y.dtype() {
        DType::F64 => typed_scatter::<f64>(name, x, places, d_y),
        _ => typed_scatter::<f32>(name, x, places, d_y),
    }
}

fn typed_scatter<T: Float>(name: &'static str, x: &Spec, places: &Tensor, d_y: &Tensor) -> Result<Tensor> {
    let cpu = cpu_of(name, d_y)?;
    let (places, d_y) = (places.cpu::<u32>(name)?, d_y.cpu::<T>(name)?);
    Tensor::on_cpu(&cpu, x.shape.sizes(), |d_x: &mut [T]| {
        d_x.fill(T::ZERO);
        for (&place, &d_y) in places.iter().zip(d_y) {
            d_x[place as usize] = d_y;
        }
    })
}
