//! Gather on a GPU: bindings and grids.

use bytemuck::{Pod, Zeroable, bytes_of};
use gradus_shaders::{Kernel, gather as shaders};

use super::{Gather, Layout};
use crate::DType;
use crate::device::Gpu;
use crate::device::gpu::{Cost, Dispatch};
use crate::error::Result;
use crate::operation::Forward;
use crate::ops::packs::Packs;
use crate::shape::MAX_DIMENSIONS;
use crate::tensor::{Spec, Tensor};

/// As in `gather/layout.wgsl`.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Parameters {
    elements: u32,
    dimension: u32,
    not_a_number: u32,
    operation: u32,
    x_inner: u32,
    y_inner: u32,
    index_inner: u32,
    _align: u32,
    x_outer: [u32; 4],
    y_outer: [u32; 4],
    index_outer: [u32; 4],
}

fn dispatch(
    gather: Gather,
    gpu: &Gpu,
    kernel: &'static Kernel,
    layout: &Layout,
    buffers: &[&Tensor],
    elements: usize,
    cost: Cost,
) -> Result<()> {
    let inner = |sizes: [usize; MAX_DIMENSIONS]| sizes[4] as u32;
    let outer = |sizes: [usize; MAX_DIMENSIONS]| [sizes[0], sizes[1], sizes[2], sizes[3]].map(|size| size as u32);
    let parameters = Parameters {
        elements: elements as u32,
        dimension: layout.dimension as u32,
        not_a_number: f32::NAN.to_bits(),
        operation: gpu.fault_code(gather.name()),
        x_inner: inner(layout.x),
        y_inner: inner(layout.y),
        index_inner: inner(layout.index_strides),
        _align: 0,
        x_outer: outer(layout.x),
        y_outer: outer(layout.y),
        index_outer: outer(layout.index_strides),
    };
    gpu.dispatch(&Dispatch {
        operation: gather.name(),
        kernel,
        element: DType::F32,
        constants: &[],
        parameters: bytes_of(&parameters),
        buffers,
        workgroups: Packs::elementwise(elements),
        cost,
    })
}

pub(super) fn forward(gather: Gather, gpu: &Gpu, x: &Tensor, index: &Tensor) -> Result<Tensor> {
    let layout = gather.layout(x.shape(), index.shape())?;
    let shape = gather.shape(x.shape(), index.shape())?;
    let y = Tensor::on_gpu(gpu, gather.name(), shape.sizes(), DType::F32)?;
    let cost = Cost { flops: 0.0, bytes: 12.0 * y.elements() as f64 };
    dispatch(gather, gpu, &shaders::FORWARD, &layout, &[x, index, &y, &gpu.faults()?], y.elements(), cost)?;
    Ok(y)
}

pub(super) fn backward(gather: Gather, gpu: &Gpu, x: &Spec, index: &Tensor, d_y: &Tensor) -> Result<Tensor> {
    let layout = gather.layout(&x.shape, index.shape())?;
    let d_x = Tensor::on_gpu(gpu, gather.name(), x.shape.sizes(), DType::F32)?;
    let comparisons = d_x.elements() as f64 * layout.y[layout.dimension] as f64;
    let cost = Cost { flops: comparisons, bytes: 4.0 * (d_x.elements() as f64 + comparisons) };
    dispatch(gather, gpu, &shaders::BACKWARD, &layout, &[index, d_y, &d_x], d_x.elements(), cost)?;
    Ok(d_x)
}
