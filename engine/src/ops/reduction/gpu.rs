//! Sums and means on a GPU: bindings and grids. The sum of one long row goes in two stages, segments and then their sums.

use bytemuck::{Pod, Zeroable};
use gradus_shaders::reduction as shaders;

use super::Reduction;
use crate::DType;
use crate::device::Gpu;
use crate::device::gpu::{Cost, Dispatch, Workgroups};
use crate::error::Result;
use crate::operation::{Context, Forward};
use crate::ops::packs::Packs;
use crate::tensor::Tensor;

/// Elements a segment: enough work for a workgroup.
const SEGMENT: usize = 4096;

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct SumParameters {
    rows: u32,
    packs: u32,
    total: u32,
    factor: f32,
}

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct SpreadParameters {
    packs: u32,
    total: u32,
    factor: f32,
}

/// y = factor · the sum of each row of x; the last of the rows may be shorter than `columns`.
fn sum(gpu: &Gpu, operation: &'static str, x: &Tensor, y: &Tensor, columns: usize, factor: f64) -> Result<()> {
    // Rows are cut by fours only if all of x is.
    let by_four = Packs::of(columns).four && Packs::of(x.elements()).four;
    let packs = if by_four { Packs::of(columns) } else { Packs::by_one(columns) };
    let width = if by_four { 4 } else { 1 };
    let parameters = SumParameters {
        rows: y.elements() as u32,
        packs: packs.count as u32,
        total: (x.elements() / width) as u32,
        factor: factor as f32,
    };
    gpu.dispatch(&Dispatch {
        operation,
        kernel: packs.pick(&shaders::SUM),
        element: DType::F32,
        constants: &packs.constants()[..1],
        parameters: bytemuck::bytes_of(&parameters),
        buffers: &[x, y],
        // Empty rows have a sum too.
        workgroups: Workgroups::Linear(y.elements().div_ceil(packs.rows_per_workgroup())),
        cost: Cost { flops: x.elements() as f64, bytes: 4.0 * x.elements() as f64 },
    })
}

pub(super) fn forward(reduction: Reduction, gpu: &Gpu, x: &Tensor) -> Result<Tensor> {
    let name = reduction.name();
    let y = Tensor::on_gpu(gpu, name, reduction.outputs(&[x.spec()])?[0].shape.sizes(), DType::F32)?;
    let (rows, columns) = (x.shape().rows(), x.shape().last());
    let factor = reduction.factor(columns);
    if rows == 1 && columns > SEGMENT {
        let segments = Tensor::on_gpu(gpu, name, &[columns.div_ceil(SEGMENT)], DType::F32)?;
        sum(gpu, name, x, &segments, SEGMENT, 1.0)?;
        sum(gpu, name, &segments, &y, segments.elements(), factor)?;
    } else {
        sum(gpu, name, x, &y, columns, factor)?;
    }
    Ok(y)
}

pub(super) fn backward(reduction: Reduction, gpu: &Gpu, context: &Context) -> Result<Tensor> {
    let shape = context.input_specs[0].shape;
    let d_x = Tensor::on_gpu(gpu, reduction.name(), shape.sizes(), DType::F32)?;
    let (rows, columns) = (shape.rows(), shape.last());
    let packs = Packs::of(columns);
    let total = rows * packs.count;
    let parameters =
        SpreadParameters { packs: packs.count as u32, total: total as u32, factor: reduction.factor(columns) as f32 };
    gpu.dispatch(&Dispatch {
        operation: reduction.name(),
        kernel: packs.pick(&shaders::SPREAD),
        element: DType::F32,
        constants: &[],
        parameters: bytemuck::bytes_of(&parameters),
        buffers: &[context.d_output(0)?, &d_x],
        workgroups: Packs::elementwise(total),
        cost: Cost { flops: d_x.elements() as f64, bytes: 4.0 * d_x.elements() as f64 },
    })?;
    Ok(d_x)
}
