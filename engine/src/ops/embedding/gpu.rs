//! The embedding on a GPU: bindings and grids.

use bytemuck::cast_slice;
use gradus_shaders::{Constant, Kernel, embedding as shaders};

use super::NAME;
use crate::DType;
use crate::device::Gpu;
use crate::device::gpu::{Cost, Dispatch, Workgroups};
use crate::error::Result;
use crate::tensor::{Spec, Tensor};

const LANES: usize = 256;
/// From this many positions a row on, on average, a row's sum is split further.
const MANY_POSITIONS: usize = 8;

fn dispatch(
    gpu: &Gpu,
    kernel: &'static Kernel,
    constants: &[Constant],
    parameters: &[u32],
    buffers: &[&Tensor],
    groups: usize,
    cost: Cost,
) -> Result<()> {
    gpu.dispatch(&Dispatch {
        operation: NAME,
        kernel,
        element: DType::F32,
        constants,
        parameters: cast_slice(parameters),
        buffers,
        workgroups: Workgroups::Linear(groups),
        cost,
    })
}

pub(super) fn forward(gpu: &Gpu, table: &Tensor, ids: &Tensor) -> Result<Tensor> {
    let (vocabulary, width) = (table.sizes()[0], table.sizes()[1]);
    let sizes: Vec<usize> = ids.sizes().iter().copied().chain([width]).collect();
    let y = Tensor::on_gpu(gpu, NAME, &sizes, DType::F32)?;
    let (not_a_number, operation) = (f32::NAN.to_bits(), gpu.fault_code(NAME));
    let parameters = [y.elements() as u32, width as u32, vocabulary as u32, not_a_number, operation, 0, 0, 0];
    let cost = Cost { flops: 0.0, bytes: 8.0 * y.elements() as f64 };
    let buffers = [table, ids, &y, &gpu.faults()?];
    dispatch(gpu, &shaders::FORWARD, &[], &parameters, &buffers, y.elements().div_ceil(LANES), cost)?;
    Ok(y)
}

pub(super) fn backward(gpu: &Gpu, table: &Spec, ids: &Tensor, dy: &Tensor) -> Result<Tensor> {
    let (vocabulary, width) = (table.shape.sizes()[0], table.shape.sizes()[1]);
    let count = ids.elements();
    let sorted = Tensor::on_gpu(gpu, NAME, &[count, 2], DType::U32)?;
    let comparisons = Cost { flops: (count * count) as f64, bytes: 12.0 * count as f64 };
    dispatch(gpu, &shaders::RANK, &[], &[count as u32, 0, 0, 0], &[ids, &sorted], count.div_ceil(LANES), comparisons)?;
    let starts = Tensor::on_gpu(gpu, NAME, &[vocabulary + 1], DType::U32)?;
    dispatch(
        gpu,
        &shaders::STARTS,
        &[],
        &[count as u32, vocabulary as u32, 0, 0],
        &[&sorted, &starts],
        (vocabulary + 1).div_ceil(LANES),
        Cost { flops: 0.0, bytes: 4.0 * vocabulary as f64 },
    )?;
    let d_table = Tensor::on_gpu(gpu, NAME, &[vocabulary, width], DType::F32)?;
    let splits = if count >= MANY_POSITIONS * vocabulary { 8 } else { 2 };
    let tiles = width.div_ceil(LANES / splits);
    dispatch(
        gpu,
        &shaders::BACKWARD,
        &[("SPLITS", splits as u32)],
        &[vocabulary as u32, width as u32, tiles as u32, 0],
        &[dy, &sorted, &starts, &d_table],
        vocabulary * tiles,
        Cost { flops: (count * width) as f64, bytes: 4.0 * ((count + vocabulary) * width) as f64 },
    )?;
    Ok(d_table)
}
