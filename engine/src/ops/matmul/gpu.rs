//! Matrix products on a GPU.

use bytemuck::{Pod, Zeroable};
use gradus_shaders::{Kernel, matmul as shaders};

use super::{Batch, Side};
use crate::DType;
use crate::device::Gpu;
use crate::device::gpu::{Cost, Dispatch, Workgroups};
use crate::error::{Error, Result};
use crate::tensor::{Spec, Tensor};

/// A row-major matrix inside a tensor: where it starts, and whether it is stored transposed.
#[derive(Clone, Copy)]
pub(crate) struct Operand<'a> {
    pub tensor: &'a Tensor,
    pub first: usize,
    pub transposed: bool,
}

impl<'a> From<Side<'a>> for Operand<'a> {
    fn from(side: Side<'a>) -> Self {
        Self { tensor: side.tensor, first: 0, transposed: side.transposed }
    }
}

/// A row-major matrix inside a tensor, to write.
#[derive(Clone, Copy)]
pub(crate) struct Output<'a> {
    pub tensor: &'a Tensor,
    pub first: usize,
}

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Parameters {
    rows: u32,
    columns: u32,
    depth: u32,
    accumulate: u32,
    a_offset: u32,
    b_offset: u32,
    c_offset: u32,
    a_batch: u32,
    b_batch: u32,
    c_batch: u32,
    _align: [u32; 2],
}

pub(super) fn multiply(gpu: &Gpu, batch: Batch, left: Side, right: Side, output: Spec) -> Result<Tensor> {
    let c = Tensor::on_gpu(gpu, "matmul", output.shape.sizes(), DType::F32)?;
    batched(gpu, "matmul", batch, left.into(), right.into(), Output { tensor: &c, first: 0 }, false)?;
    Ok(c)
}

/// `output = left · right`, or `+=` if `accumulate`; `sizes` are rows, columns and depth.
pub(crate) fn product(
    gpu: &Gpu,
    operation: &'static str,
    left: Operand,
    right: Operand,
    output: Output,
    sizes: [usize; 3],
    accumulate: bool,
) -> Result<()> {
    let [rows, columns, depth] = sizes;
    let batch = Batch { count: 1, rows, columns, depth, shared_right: true };
    batched(gpu, operation, batch, left, right, output, accumulate)
}

/// The tile: the largest of which there are enough to keep a large GPU busy, else the smallest.
fn tile(batch: Batch) -> [u32; 4] {
    const BUSY: usize = 256;
    let count = |tile: &[u32; 4]| {
        batch.count * batch.rows.div_ceil(tile[0] as usize) * batch.columns.div_ceil(tile[1] as usize)
    };
    let [.., smallest] = shaders::TILES;
    shaders::TILES.into_iter().find(|tile| count(tile) >= BUSY).unwrap_or(smallest)
}

fn batched(
    gpu: &Gpu,
    operation: &'static str,
    batch: Batch,
    left: Operand,
    right: Operand,
    output: Output,
    accumulate: bool,
) -> Result<()> {
    let Batch { count, rows, columns, depth, shared_right } = batch;
    for (tensor, first, size) in [
        (left.tensor, left.first, rows * depth * count),
        (right.tensor, right.first, depth * columns * if shared_right { 1 } else { count }),
        (output.tensor, output.first, rows * columns * count),
    ] {
        if first + size > tensor.elements() {
            return Err(Error::shape(operation, format!("a product of {batch:?} reaches beyond {tensor:?}")));
        }
        if tensor.dtype() != DType::F32 {
            return Err(Error::dtype(operation, format!("a product on the GPU takes f32, got {tensor:?}")));
        }
    }
    // A vector load needs every stored row, and the first element, at a multiple of four.
    let vector = |first: usize, row: usize| first.is_multiple_of(4) && row.is_multiple_of(4);
    let left_vector = vector(left.first, if left.transposed { rows } else { depth });
    let right_vector = vector(right.first, if right.transposed { depth } else { columns });
    let kernel: &'static Kernel = match (left_vector, right_vector) {
        (true, true) => &shaders::VECTOR_VECTOR,
        (true, false) => &shaders::VECTOR_SCALAR,
        (false, true) => &shaders::SCALAR_VECTOR,
        (false, false) => &shaders::SCALAR_SCALAR,
    };
    let tile = tile(batch);
    let parameters = Parameters {
        rows: rows as u32,
        columns: columns as u32,
        depth: depth as u32,
        accumulate: u32::from(accumulate),
        a_offset: left.first as u32,
        b_offset: right.first as u32,
        c_offset: output.first as u32,
        a_batch: (rows * depth) as u32,
        b_batch: if shared_right { 0 } else { (depth * columns) as u32 },
        c_batch: (rows * columns) as u32,
        _align: [0; 2],
    };
    let elements = (rows * depth + depth * columns + rows * columns) * count;
    gpu.dispatch(&Dispatch {
        operation,
        kernel,
        element: DType::F32,
        constants: &shaders::constants(tile, left.transposed, right.transposed),
        parameters: bytemuck::bytes_of(&parameters),
        buffers: &[left.tensor, right.tensor, output.tensor],
        workgroups: Workgroups::Grid([columns.div_ceil(tile[1] as usize), rows.div_ceil(tile[0] as usize), count]),
        cost: Cost { flops: 2.0 * (rows * columns * depth * count) as f64, bytes: 4.0 * elements as f64 },
    })
}
