//! Copies of windows of columns, on either device.

use bytemuck::{Pod, Zeroable};
use gradus_shaders::slice as shaders;

use crate::device::gpu::{Cost, Dispatch};
use crate::device::{Cpu, Device, Gpu};
use crate::error::{Error, Result};
use crate::ops::packs::Packs;
use crate::tensor::Tensor;
use crate::{DType, Element};

/// A window of columns: y\[r, to + c\] = x\[r, from + c\] for c < width, and 0 where x has no such column.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    pub rows: usize,
    pub width: usize,
    /// Columns of x, and the first that is read, which may lie before the row.
    pub from: (usize, isize),
    /// Columns of y, and the first that is written.
    pub to: (usize, usize),
}

/// A new tensor of these sizes, written by the windows, which must cover it.
pub(super) fn copy(name: &'static str, sizes: &[usize], parts: &[(&Tensor, Window)]) -> Result<Tensor> {
    let Some((first, _)) = parts.first() else {
        return Err(Error::shape(name, "there is nothing to copy"));
    };
    match (first.device(), first.dtype()) {
        (Device::Cpu(cpu), DType::F64) => on_cpu::<f64>(name, &cpu, sizes, parts),
        (Device::Cpu(cpu), _) => on_cpu::<f32>(name, &cpu, sizes, parts),
        (Device::Gpu(gpu), _) => on_gpu(name, &gpu, sizes, parts),
    }
}

/// One thread: memory is the limit, and the models copy little.
fn on_cpu<T: Element>(name: &'static str, cpu: &Cpu, sizes: &[usize], parts: &[(&Tensor, Window)]) -> Result<Tensor> {
    let parts: Vec<(&[T], Window)> =
        parts.iter().map(|(x, window)| Ok((x.cpu::<T>(name)?, *window))).collect::<Result<_>>()?;
    Tensor::on_cpu(cpu, sizes, |y: &mut [T]| {
        for (x, Window { rows, width, from: (x_columns, x_first), to: (y_columns, y_first) }) in parts {
            // The columns of the window that x has.
            let begin = x_first.min(0).unsigned_abs().min(width);
            let skip = x_first.max(0) as usize;
            let end = (begin + x_columns.saturating_sub(skip)).min(width);
            for row in 0..rows {
                let y = &mut y[row * y_columns + y_first..][..width];
                let x = &x[row * x_columns + skip..][..end - begin];
                y[..begin].fill(T::default());
                y[begin..end].copy_from_slice(x);
                y[end..].fill(T::default());
            }
        }
    })
}

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Parameters {
    rows: u32,
    width: u32,
    x_columns: u32,
    x_first: i32,
    y_columns: u32,
    y_first: u32,
}

fn on_gpu(name: &'static str, gpu: &Gpu, sizes: &[usize], parts: &[(&Tensor, Window)]) -> Result<Tensor> {
    let y = Tensor::on_gpu(gpu, name, sizes, DType::F32)?;
    for (x, window) in parts {
        let parameters = Parameters {
            rows: window.rows as u32,
            width: window.width as u32,
            x_columns: window.from.0 as u32,
            x_first: window.from.1 as i32,
            y_columns: window.to.0 as u32,
            y_first: window.to.1 as u32,
        };
        let count = window.rows * window.width;
        gpu.dispatch(&Dispatch {
            operation: name,
            kernel: &shaders::WINDOW,
            element: DType::F32,
            constants: &[],
            parameters: bytemuck::bytes_of(&parameters),
            buffers: &[x, &y],
            workgroups: Packs::elementwise(count),
            cost: Cost { flops: 0.0, bytes: 8.0 * count as f64 },
        })?;
    }
    Ok(y)
}
