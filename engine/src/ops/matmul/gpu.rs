//! Matrix products on a GPU.

use bytemuck::{Pod, Zeroable};
use gradus_shaders::{Kernel, matmul as shaders};

use super::Side;
use super::sizes::Batch;
use crate::DType;
use crate::device::gpu::{Cost, Dispatch, Workgroups};
use crate::device::{Device, Gpu};
use crate::error::{Error, Result};
use crate::ops::norm::column_sum;
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

/// What is done with the products beside storing them.
#[derive(Clone, Copy)]
enum Epilogue<'a> {
    /// Nothing.
    Plain,
    /// They are added to what the output holds.
    Accumulate,
    /// A bias [columns] is added to every row.
    Bias(&'a Tensor),
}

/// As in `matmul/batch.wgsl`.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Parameters {
    rows: u32,
    columns: u32,
    depth: u32,
    accumulate: u32,
    row_tiles: u32,
    column_tiles: u32,
    matrices: u32,
    summed: u32,
    a_offset: u32,
    b_offset: u32,
    c_offset: u32,
    middle_size: u32,
    inner_size: u32,
    summed_inner_size: u32,
    a_strides: [u32; 5],
    b_strides: [u32; 5],
}

pub(super) fn multiply(
    gpu: &Gpu,
    batch: Batch,
    left: Side,
    right: Side,
    bias: Option<&Tensor>,
    output: Spec,
) -> Result<Tensor> {
    let c = Tensor::on_gpu(gpu, "matmul", output.shape.sizes(), DType::F32)?;
    let epilogue = bias.map_or(Epilogue::Plain, Epilogue::Bias);
    batched(gpu, "matmul", batch, left.into(), right.into(), Output { tensor: &c, first: 0 }, epilogue)?;
    Ok(c)
}

/// left [m, k] · right [k, n] in tiles of this size, one of [`gradus_shaders::matmul::TILES`], in place of the one that the
/// rule would pick. For measurements of the rule.
///
/// # Errors
/// Operands that are no two matrices of f32 on one GPU or do not fit, or no such tile.
pub fn matmul_in_tiles(left: &Tensor, right: &Tensor, tile: [u32; 4]) -> Result<Tensor> {
    let (Device::Gpu(gpu), &[rows, depth], &[other, columns]) = (left.device(), left.sizes(), right.sizes()) else {
        return Err(Error::shape("matmul", format!("takes two matrices on a GPU, got {left:?} and {right:?}")));
    };
    if other != depth || !shaders::TILES.contains(&tile) {
        return Err(Error::shape("matmul", format!("{left:?} · {right:?} in tiles of {tile:?} cannot be")));
    }
    let c = Tensor::on_gpu(&gpu, "matmul", &[rows, columns], DType::F32)?;
    let (batch, output) = (Batch::one(rows, columns, depth), Output { tensor: &c, first: 0 });
    let operand = |tensor| Operand { tensor, first: 0, transposed: false };
    tiled(&gpu, "matmul", batch, operand(left), operand(right), output, Epilogue::Plain, tile)?;
    Ok(c)
}

pub(super) fn sum_of_rows(gpu: &Gpu, x: &Tensor, output: Spec) -> Result<Tensor> {
    let columns = output.shape.elements();
    column_sum(gpu, "matmul", x, x.elements().checked_div(columns).unwrap_or(0), columns)
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
    let epilogue = if accumulate { Epilogue::Accumulate } else { Epilogue::Plain };
    batched(gpu, operation, Batch::one(rows, columns, depth), left, right, output, epilogue)
}

/// The tile: the largest of which there are enough to keep a large GPU busy and that a matrix fills by more than half either
/// way, else the smallest.
fn tile(batch: &Batch) -> [u32; 4] {
    const BUSY: usize = 256;
    let count = |tile: &[u32; 4]| {
        batch.matrices() * batch.rows.div_ceil(tile[0] as usize) * batch.columns.div_ceil(tile[1] as usize)
    };
    let filled = |tile: &[u32; 4]| 2 * batch.rows > tile[0] as usize && 2 * batch.columns > tile[1] as usize;
    let [.., smallest] = shaders::TILES;
    shaders::TILES.into_iter().find(|tile| filled(tile) && count(tile) >= BUSY).unwrap_or(smallest)
}

fn batched(
    gpu: &Gpu,
    operation: &'static str,
    batch: Batch,
    left: Operand,
    right: Operand,
    output: Output,
    epilogue: Epilogue,
) -> Result<()> {
    tiled(gpu, operation, batch, left, right, output, epilogue, tile(&batch))
}

#[allow(clippy::too_many_arguments, reason = "what a product is, and how it is cut")]
fn tiled(
    gpu: &Gpu,
    operation: &'static str,
    batch: Batch,
    left: Operand,
    right: Operand,
    output: Output,
    epilogue: Epilogue,
    tile: [u32; 4],
) -> Result<()> {
    let elements = batch.elements();
    let tensors = [(left.tensor, left.first), (right.tensor, right.first), (output.tensor, output.first)];
    for ((tensor, first), size) in tensors.into_iter().zip(elements) {
        if first.saturating_add(size) > tensor.elements() {
            return Err(Error::shape(operation, format!("a product of {batch:?} reaches beyond {tensor:?}")));
        }
        if tensor.dtype() != DType::F32 {
            return Err(Error::dtype(operation, format!("a product on the GPU takes f32, got {tensor:?}")));
        }
    }
    if elements[2] == 0 {
        return Ok(());
    }
    let Batch { rows, columns, depth, .. } = batch;
    // A vector load needs every stored row, and the first element, at a multiple of four.
    let vector = |first: usize, row: usize| first.is_multiple_of(4) && row.is_multiple_of(4);
    let left_vector = vector(left.first, if left.transposed { rows } else { depth });
    let right_vector = vector(right.first, if right.transposed { depth } else { columns });
    let [plain, with_bias]: &'static [Kernel; 2] = match (left_vector, right_vector) {
        (true, true) => &shaders::VECTOR_VECTOR,
        (true, false) => &shaders::VECTOR_SCALAR,
        (false, true) => &shaders::SCALAR_VECTOR,
        (false, false) => &shaders::SCALAR_SCALAR,
    };
    let mut buffers = vec![left.tensor, right.tensor, output.tensor];
    let kernel = match epilogue {
        Epilogue::Bias(bias) => {
            buffers.push(bias);
            with_bias
        }
        Epilogue::Plain | Epilogue::Accumulate => plain,
    };
    let (row_tiles, column_tiles) = (rows.div_ceil(tile[0] as usize), columns.div_ceil(tile[1] as usize));
    let parameters = parameters(&batch, [left.first, right.first, output.first], [row_tiles, column_tiles], epilogue);
    let flops = 2.0 * (rows * columns) as f64 * depth as f64 * (batch.matrices() * batch.summed()) as f64;
    gpu.dispatch(&Dispatch {
        operation,
        kernel,
        element: DType::F32,
        constants: &shaders::constants(tile, left.transposed, right.transposed, batch.summed() != 1),
        parameters: bytemuck::bytes_of(&parameters),
        buffers: &buffers,
        workgroups: Workgroups::Linear(column_tiles * row_tiles * batch.matrices()),
        cost: Cost { flops, bytes: 4.0 * elements.iter().map(|&count| count as f64).sum::<f64>() },
    })
}

fn parameters(
    batch: &Batch,
    [a_offset, b_offset, c_offset]: [usize; 3],
    [row_tiles, column_tiles]: [usize; 2],
    epilogue: Epilogue,
) -> Parameters {
    let ([outer, middle, inner], [summed_outer, summed_inner]) = batch.walks();
    let walks = [outer, middle, inner, summed_outer, summed_inner];
    Parameters {
        rows: batch.rows as u32,
        columns: batch.columns as u32,
        depth: batch.depth as u32,
        accumulate: u32::from(matches!(epilogue, Epilogue::Accumulate)),
        row_tiles: row_tiles as u32,
        column_tiles: column_tiles as u32,
        matrices: batch.matrices() as u32,
        summed: batch.summed() as u32,
        a_offset: a_offset as u32,
        b_offset: b_offset as u32,
        c_offset: c_offset as u32,
        middle_size: middle.size as u32,
        inner_size: inner.size as u32,
        summed_inner_size: summed_inner.size as u32,
        a_strides: walks.map(|walk| walk.left as u32),
        b_strides: walks.map(|walk| walk.right as u32),
    }
}
