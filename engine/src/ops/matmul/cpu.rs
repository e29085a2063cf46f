//! Matrix products on the CPU.

use super::sizes::{Batch, places};
use super::{Addend, Side};
use crate::DType;
use crate::device::Cpu;
use crate::device::cpu::float::{Float, vectorized};
use crate::device::cpu::gemm::{Layout, Sizes, product, product_parallel};
use crate::device::cpu::threads::{for_items, for_rows, map_blocks};
use crate::error::Result;
use crate::tensor::{Spec, Tensor};

/// Multiply-adds of a batch from which several threads share its matrices.
const WORTH_THREADS: usize = 1 << 18;
/// Multiply-adds of one matrix from which several threads share each, one matrix after the other.
const WORTH_SHARING: usize = 1 << 22;
/// Long sums are added up in short ones of so many terms, so that rounding errors grow slowly.
const SHORT_SUM: usize = 32;

pub(super) fn multiply(
    device: &Cpu,
    batch: Batch,
    left: Side,
    right: Side,
    addend: Option<Addend>,
    output: Spec,
) -> Result<Tensor> {
    match output.dtype {
        DType::F64 => typed::<f64>(device, batch, left, right, addend, output),
        _ => typed::<f32>(device, batch, left, right, addend, output),
    }
}

fn typed<T: Float>(
    device: &Cpu,
    batch: Batch,
    left: Side,
    right: Side,
    addend: Option<Addend>,
    output: Spec,
) -> Result<Tensor> {
    let Batch { rows, columns, depth, .. } = batch;
    let sizes = Sizes { rows, columns, depth };
    let (a, b) = (left.tensor.cpu::<T>("matmul")?, right.tensor.cpu::<T>("matmul")?);
    let stored = |transposed: bool, rows: usize, columns: usize| match transposed {
        false => Layout::row_major(columns),
        true => Layout::row_major(rows).transposed(),
    };
    let (left, right) = (stored(left.transposed, rows, depth), stored(right.transposed, depth, columns));
    let layout = Layout::row_major(columns);
    let (kept, summed) = batch.walks();
    let items = batch.summed();
    // A matrix of the output: the sum of its products in order, onto what is added if there is something.
    let multiply = |matrix: usize, out: &mut [T], parallel: bool| {
        let [a_first, b_first] = places(&kept, matrix);
        for item in 0..items {
            let [a_item, b_item] = places(&summed, item);
            let (a, b) = ((a, left.at(a_first + a_item)), (b, right.at(b_first + b_item)));
            let beta = if item == 0 && addend.is_none() { T::ZERO } else { T::ONE };
            let product = if parallel { product_parallel::<T> } else { product::<T> };
            product(sizes, T::ONE, a, b, beta, (&mut *out, layout));
        }
    };
    let added = match addend {
        Some(Addend::Bias(added) | Addend::Residual(added)) => Some(added.cpu::<T>("matmul")?),
        None => None,
    };
    Tensor::on_cpu(device, output.shape.sizes(), |out: &mut [T]| {
        match (addend, added) {
            (Some(Addend::Residual(_)), Some(added)) => out.copy_from_slice(added),
            (_, Some(added)) => {
                for_rows(out, columns, columns, |_, rows| {
                    rows.chunks_mut(columns).for_each(|row| row.copy_from_slice(added));
                });
            }
            (_, None) if items * depth == 0 => out.fill(T::ZERO),
            (_, None) => {}
        }
        if out.is_empty() || items * depth == 0 {
            return;
        }
        let matrices = out.chunks_mut(rows * columns);
        let steps = rows * columns * depth * items;
        if matrices.len() == 1 || steps >= WORTH_SHARING {
            return matrices.enumerate().for_each(|(matrix, out)| multiply(matrix, out, true));
        }
        let worth_threads = matrices.len() * steps > WORTH_THREADS;
        for_items(matrices.collect(), worth_threads, |matrix, out| multiply(matrix, out, false));
    })
}

/// The sum over all rows of x [.., columns]: `columns` sums, each in the order of the rows.
pub(super) fn sum_of_rows(device: &Cpu, x: &Tensor, output: Spec) -> Result<Tensor> {
    match x.dtype() {
        DType::F64 => summed::<f64>(device, x, output),
        _ => summed::<f32>(device, x, output),
    }
}

fn summed<T: Float>(device: &Cpu, x: &Tensor, output: Spec) -> Result<Tensor> {
    let columns = output.shape.elements();
    let x = x.cpu::<T>("matmul")?;
    let rows = x.len().checked_div(columns).unwrap_or(0);
    let partial = map_blocks(rows, columns, |block| {
        let mut sums = vec![T::ZERO; columns];
        let mut part = vec![T::ZERO; columns];
        vectorized(
            #[inline(always)]
            || {
                for short in x[block.start * columns..block.end * columns].chunks(SHORT_SUM * columns) {
                    part.fill(T::ZERO);
                    for row in short.chunks_exact(columns) {
                        part.iter_mut().zip(row).for_each(|(sum, &x)| *sum += x);
                    }
                    sums.iter_mut().zip(&part).for_each(|(sum, &part)| *sum += part);
                }
            },
        );
        sums
    });
    Tensor::on_cpu(device, output.shape.sizes(), |out: &mut [T]| {
        out.fill(T::ZERO);
        for sums in partial {
            out.iter_mut().zip(sums).for_each(|(out, sum)| *out += sum);
        }
    })
}
