//! Softmax on a GPU: bindings and grids.

use gradus_shaders::{Constant, Kernel, softmax as shaders};

use super::Softmax;
use crate::DType;
use crate::device::Gpu;
use crate::device::gpu::{Cost, Dispatch, Workgroups};
use crate::error::Result;
use crate::operation::Forward;
use crate::ops::packs::Packs;
use crate::tensor::Tensor;

/// Packs of a tensor that an invocation holds, in rows that have so many.
const PACKS_HELD: usize = 4;

fn dispatch(softmax: Softmax, gpu: &Gpu, kernels: &'static [Kernel; 2], buffers: &[&Tensor]) -> Result<()> {
    let (rows, columns) = (buffers[0].shape().rows(), buffers[0].shape().last());
    let packs = Packs::of(columns).held(PACKS_HELD);
    let [span, kept] = packs.constants();
    let logarithm: Constant = ("LOGARITHM", u32::from(softmax == Softmax::Logarithm));
    let elements = (rows * columns) as f64;
    gpu.dispatch(&Dispatch {
        operation: softmax.name(),
        kernel: packs.pick(kernels),
        element: DType::F32,
        constants: &[span, kept, logarithm],
        parameters: bytemuck::bytes_of(&[rows as u32, packs.count as u32]),
        buffers,
        workgroups: Workgroups::Linear(packs.workgroups(rows)),
        cost: Cost { flops: 8.0 * elements, bytes: 4.0 * buffers.len() as f64 * elements },
    })
}

pub(super) fn forward(softmax: Softmax, gpu: &Gpu, x: &Tensor) -> Result<Tensor> {
    let y = Tensor::on_gpu(gpu, softmax.name(), x.sizes(), DType::F32)?;
    dispatch(softmax, gpu, &shaders::FORWARD, &[x, &y])?;
    Ok(y)
}

pub(super) fn backward(softmax: Softmax, gpu: &Gpu, y: &Tensor, d_y: &Tensor) -> Result<Tensor> {
    let d_x = Tensor::on_gpu(gpu, softmax.name(), y.sizes(), DType::F32)?;
    dispatch(softmax, gpu, &shaders::BACKWARD, &[y, d_y, &d_x])?;
    Ok(d_x)
}
