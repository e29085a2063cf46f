//! The rotation on a GPU.

use bytemuck::{Pod, Zeroable};
use gradus_shaders::rotary as shaders;

use super::{Direction, Rotary};
use crate::device::Gpu;
use crate::device::gpu::{Cost, Dispatch, Workgroups};
use crate::error::Result;
use crate::tensor::Tensor;

const LANES: usize = 256;

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Parameters {
    count: u32,
    sequence: u32,
    heads: u32,
    half: u32,
    first_row: u32,
    sign: f32,
    _align: [u32; 2],
}

pub(super) fn rotate(rotary: &Rotary, gpu: &Gpu, x: &Tensor, direction: Direction) -> Result<Tensor> {
    let &[_, sequence, heads, head_dim] = x.sizes() else { return Err(super::wrong_rank(x.shape())) };
    let y = Tensor::on_gpu(gpu, "rotary", x.sizes(), x.dtype())?;
    let tables = rotary.tables.on_gpu(gpu)?;
    // A vector of four pairs an invocation where rows are made of such.
    let (kernel, width) = if (head_dim / 2).is_multiple_of(4) { (&shaders::VECTOR, 4) } else { (&shaders::SCALAR, 1) };
    let count = x.elements() / 2 / width;
    let parameters = Parameters {
        count: count as u32,
        sequence: sequence as u32,
        heads: heads as u32,
        half: (head_dim / 2 / width) as u32,
        first_row: rotary.first_row() as u32,
        sign: if direction == Direction::Forward { 1.0 } else { -1.0 },
        _align: [0; 2],
    };
    gpu.dispatch(&Dispatch {
        operation: "rotary",
        kernel,
        element: x.dtype(),
        constants: &[],
        parameters: bytemuck::bytes_of(&parameters),
        buffers: &[x, &tables, &y],
        workgroups: Workgroups::Linear(count.div_ceil(LANES)),
        cost: Cost { flops: 3.0 * x.elements() as f64, bytes: 2.0 * x.spec().bytes() as f64 },
    })?;
    Ok(y)
}
