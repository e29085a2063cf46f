//! Arithmetic on a GPU: bindings and grids.

use bytemuck::{Pod, Zeroable};
use gradus_shaders::{Kernel, arithmetic as shaders};

use super::Arithmetic;
use crate::device::Gpu;
use crate::device::gpu::{Cost, Dispatch, Workgroups};
use crate::error::Result;
use crate::operation::Forward;
use crate::tensor::Tensor;
use crate::{DType, Shape};

const LANES: usize = 256;

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Binary {
    count: u32,
    same_shape: u32,
    _align: [u32; 2],
    sizes_outer: [u32; 4],
    size_inner: u32,
    a_inner: u32,
    b_inner: u32,
    _align2: u32,
    a_outer: [u32; 4],
    b_outer: [u32; 4],
}

/// Element by element, and by fours.
fn kernels_of(kind: Arithmetic, a: DType, b: DType) -> &'static [Kernel; 2] {
    match kind {
        Arithmetic::Add if a == DType::F16 => &shaders::ADD_HALVES,
        Arithmetic::Add if b == DType::F16 => &shaders::ADD_HALF,
        Arithmetic::Add => &shaders::ADD,
        Arithmetic::Subtract => &shaders::SUBTRACT,
        Arithmetic::Multiply => &shaders::MULTIPLY,
        Arithmetic::Divide => &shaders::DIVIDE,
    }
}

/// The first four of five sizes or strides.
fn outer(all: [usize; 5]) -> [u32; 4] {
    [all[0] as u32, all[1] as u32, all[2] as u32, all[3] as u32]
}

pub(super) fn forward(kind: Arithmetic, gpu: &Gpu, a: &Tensor, b: &Tensor) -> Result<Vec<Tensor>> {
    // Only sums have an f16 input, and those have no order: of two types the f16 is the second.
    let (a, b) = if a.dtype() == DType::F16 { (b, a) } else { (a, b) };
    let shape = Shape::broadcast(kind.name(), a.shape(), b.shape())?;
    let y = Tensor::on_gpu(gpu, kind.name(), shape.sizes(), a.dtype())?;
    let kernels = kernels_of(kind, a.dtype(), b.dtype());
    let dispatch = |kernel, parameters: &[u8], invocations: usize| {
        gpu.dispatch(&Dispatch {
            operation: kind.name(),
            kernel,
            element: b.dtype(),
            constants: &[],
            parameters,
            buffers: &[a, b, &y],
            workgroups: Workgroups::Linear(invocations.div_ceil(LANES)),
            cost: Cost { flops: y.elements() as f64, bytes: (2 * y.spec().bytes() + b.spec().bytes()) as f64 },
        })
    };
    if a.shape() == b.shape() && y.elements().is_multiple_of(4) {
        let packs = y.elements() / 4;
        dispatch(&kernels[1], bytemuck::bytes_of(&(packs as u32)), packs)?;
        return Ok(vec![y]);
    }
    let (sizes, a_strides, b_strides) =
        (shape.padded(), a.shape().broadcast_strides(&shape), b.shape().broadcast_strides(&shape));
    let parameters = Binary {
        count: y.elements() as u32,
        same_shape: u32::from(a.shape() == b.shape()),
        _align: [0; 2],
        sizes_outer: outer(sizes),
        size_inner: sizes[4] as u32,
        a_inner: a_strides[4] as u32,
        b_inner: b_strides[4] as u32,
        _align2: 0,
        a_outer: outer(a_strides),
        b_outer: outer(b_strides),
    };
    dispatch(&kernels[0], bytemuck::bytes_of(&parameters), y.elements())?;
    Ok(vec![y])
}
