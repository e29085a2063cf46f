//! Gather on the CPU.

use super::{Gather, Layout, strides};
use crate::DType;
use crate::device::cpu::float::Float;
use crate::device::cpu::threads::for_rows;
use crate::device::{Cpu, Device};
use crate::error::{Error, Result};
use crate::operation::Forward;
use crate::shape::MAX_DIMENSIONS;
use crate::tensor::{Spec, Tensor};

/// Elementary steps an element costs.
const COST: usize = 4;

fn device(gather: Gather, of: &Tensor) -> Result<Cpu> {
    match of.device() {
        Device::Cpu(cpu) => Ok(cpu),
        Device::Gpu(_) => Err(Error::device(gather.name(), "expected CPU tensors")),
    }
}

/// The indices, if all are below the limit.
fn below<'a>(gather: Gather, index: &'a Tensor, x: &Spec) -> Result<&'a [u32]> {
    let (indices, limit) = (index.cpu::<u32>(gather.name())?, x.shape.sizes()[gather.dimension()]);
    match indices.iter().position(|&index| index as usize >= limit) {
        None => Ok(indices),
        Some(place) => {
            let message = format!(
                "index {} is not below {limit}, the size of dimension {} of {:?}; it is number {place} of index {:?}",
                indices[place],
                gather.dimension(),
                x.shape,
                index.shape()
            );
            Err(Error::index(gather.name(), message))
        }
    }
}

/// The coordinates of a flat place in all dimensions but the last.
fn coordinates(mut row: usize, sizes: [usize; MAX_DIMENSIONS]) -> [usize; MAX_DIMENSIONS] {
    let mut at = [0; MAX_DIMENSIONS];
    for dimension in (0..MAX_DIMENSIONS - 1).rev() {
        at[dimension] = row % sizes[dimension];
        row /= sizes[dimension];
    }
    at
}

/// Σ at · strides over all dimensions but one.
fn place(at: [usize; MAX_DIMENSIONS], strides: [usize; MAX_DIMENSIONS], without: usize) -> usize {
    (0..MAX_DIMENSIONS)
        .filter(|&dimension| dimension != without)
        .map(|dimension| at[dimension] * strides[dimension])
        .sum()
}

pub(super) fn forward(gather: Gather, x: &Tensor, index: &Tensor) -> Result<Tensor> {
    match x.dtype() {
        DType::F64 => gathered::<f64>(gather, x, index),
        _ => gathered::<f32>(gather, x, index),
    }
}

fn gathered<T: Float>(gather: Gather, x: &Tensor, index: &Tensor) -> Result<Tensor> {
    let layout = gather.layout(x.shape(), index.shape())?;
    let shape = gather.shape(x.shape(), index.shape())?;
    let indices = below(gather, index, &x.spec())?;
    let cpu = device(gather, x)?;
    let x = x.cpu::<T>(gather.name())?;
    let Layout { dimension, y, index_strides, .. } = layout;
    let (x_strides, last) = (strides(layout.x), MAX_DIMENSIONS - 1);
    // Along the last dimension x moves on by one, unless the index stands there.
    let step = usize::from(dimension != last);
    Tensor::on_cpu(&cpu, shape.sizes(), |output: &mut [T]| {
        for_rows(output, y[last], y[last] * COST, |first, block| {
            for (row, output) in (first..).zip(block.chunks_mut(y[last])) {
                let at = coordinates(row, y);
                let (from, index) = (place(at, x_strides, dimension), place(at, index_strides, last));
                for (column, out) in output.iter_mut().enumerate() {
                    let id = indices[index + column * index_strides[last]] as usize;
                    *out = x[from + column * step + id * x_strides[dimension]];
                }
            }
        });
    })
}

pub(super) fn backward(gather: Gather, x: &Spec, index: &Tensor, d_y: &Tensor) -> Result<Tensor> {
    match x.dtype {
        DType::F64 => scattered::<f64>(gather, x, index, d_y),
        _ => scattered::<f32>(gather, x, index, d_y),
    }
}

/// Blocks of x that share all coordinates before the index's dimension are filled one by one; in each, what flows to it is
/// added in the order of y.
fn scattered<T: Float>(gather: Gather, x: &Spec, index: &Tensor, d_y: &Tensor) -> Result<Tensor> {
    let layout = gather.layout(&x.shape, index.shape())?;
    let indices = below(gather, index, x)?;
    let cpu = device(gather, d_y)?;
    let d_y = d_y.cpu::<T>(gather.name())?;
    let Layout { dimension, y, index_strides, .. } = layout;
    let (x_strides, y_strides, last) = (strides(layout.x), strides(y), MAX_DIMENSIONS - 1);
    let outer = &layout.x[..dimension];
    let block_elements: usize = layout.x[dimension..].iter().product();
    // The part of y that flows to one block, as rows along the last dimension.
    let rows: usize = if dimension == last { 1 } else { y[dimension..last].iter().product() };
    let columns = y[last];
    let fill = |block: usize, out: &mut [T]| {
        out.fill(T::ZERO);
        let (mut rest, mut y_first, mut index_first) = (block, 0, 0);
        for at in (0..dimension).rev() {
            let coordinate = rest % outer[at];
            rest /= outer[at];
            if coordinate >= y[at] {
                return;
            }
            y_first += coordinate * y_strides[at];
            index_first += coordinate * index_strides[at];
        }
        for row in 0..rows {
            let (mut rest, mut x_row, mut index_row) = (row, 0, index_first);
            for at in (dimension..last).rev() {
                let coordinate = rest % y[at];
                rest /= y[at];
                x_row += if at == dimension { 0 } else { coordinate * x_strides[at] };
                index_row += coordinate * index_strides[at];
            }
            let step = usize::from(dimension != last);
            for (column, &d) in d_y[y_first + row * columns..][..columns].iter().enumerate() {
                let id = indices[index_row + column * index_strides[last]] as usize;
                out[x_row + column * step + id * x_strides[dimension]] += d;
            }
        }
    };
    Tensor::on_cpu(&cpu, x.shape.sizes(), |output: &mut [T]| {
        for_rows(output, block_elements, block_elements + rows * columns * COST, |first, part| {
            for (block, out) in (first..).zip(part.chunks_mut(block_elements)) {
                fill(block, out);
            }
        });
    })
}
