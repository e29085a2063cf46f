//! Matrix products on a GPU.

use bytemuck::{Pod, Zeroable};
use gradus_shaders::{Constant, matmul as shaders};

use super::sizes::Batch;
use super::{Addend, Side};
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
    /// A tensor laid out like the output is added.
    Residual(&'a Tensor),
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
    parts: u32,
    part_depth: u32,
}

/// As in `matmul/sum_parts.wgsl`.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct SumParts {
    count: u32,
    parts: u32,
    offset: u32,
    accumulate: u32,
}

pub(super) fn multiply(
    gpu: &Gpu,
    batch: Batch,
    left: Side,
    right: Side,
    addend: Option<Addend>,
    output: Spec,
    onto: Option<Tensor>,
) -> Result<Tensor> {
    let epilogue = match addend {
        None if onto.is_some() => Epilogue::Accumulate,
        None => Epilogue::Plain,
        Some(Addend::Bias(bias)) => Epilogue::Bias(bias),
        Some(Addend::Residual(residual)) => Epilogue::Residual(residual),
    };
    let c = match onto {
        Some(sum) => sum,
        None => Tensor::on_gpu(gpu, "matmul", output.shape.sizes(), output.dtype)?,
    };
    batched(gpu, "matmul", batch, left.into(), right.into(), Output { tensor: &c, first: 0 }, epilogue)?;
    Ok(c)
}

/// x · weightᵀ + bias with a weight whose first element is at `first`; sizes are rows, columns and depth.
pub(super) fn rows_of_weight(
    gpu: &Gpu,
    x: &Tensor,
    (weight, first): (&Tensor, usize),
    bias: Option<&Tensor>,
    [rows, columns, depth]: [usize; 3],
    output: Spec,
) -> Result<Tensor> {
    let c = Tensor::on_gpu(gpu, "matmul", output.shape.sizes(), output.dtype)?;
    let (left, right) =
        (Operand { tensor: x, first: 0, transposed: false }, Operand { tensor: weight, first, transposed: true });
    let epilogue = bias.map_or(Epilogue::Plain, Epilogue::Bias);
    batched(gpu, "matmul", Batch::one(rows, columns, depth), left, right, Output { tensor: &c, first: 0 }, epilogue)?;
    Ok(c)
}

/// left [m, k] · right [k, n] in f32, in tiles of this size in place of the one that the rule would pick: of f32 one of
/// [`gradus_shaders::matmul::TILES`], of f16, on matrix units, one of [`gradus_shaders::matmul::UNIT_TILES`]. For
/// measurements of the rule.
///
/// # Errors
/// Operands that are no two matrices of one type on one GPU or do not fit, or no such tile; for f16 an adapter without matrix
/// units, or sizes that are no multiples of four.
pub fn matmul_in_tiles(left: &Tensor, right: &Tensor, tile: [u32; 5]) -> Result<Tensor> {
    let (Device::Gpu(gpu), &[rows, depth], &[other, columns]) = (left.device(), left.sizes(), right.sizes()) else {
        return Err(Error::shape("matmul", format!("takes two matrices on a GPU, got {left:?} and {right:?}")));
    };
    let half = left.dtype() == DType::F16;
    let tiles: &[[u32; 5]] = if half { &shaders::UNIT_TILES } else { &shaders::TILES };
    if other != depth || left.dtype() != right.dtype() || !tiles.contains(&tile) {
        return Err(Error::shape("matmul", format!("{left:?} · {right:?} in tiles of {tile:?} cannot be")));
    }
    let c = Tensor::on_gpu(&gpu, "matmul", &[rows, columns], DType::F32)?;
    let (batch, output) = (Batch::one(rows, columns, depth), Output { tensor: &c, first: 0 });
    let operand = |tensor| Operand { tensor, first: 0, transposed: false };
    let product = Product::new(&gpu, "matmul", batch, operand(left), operand(right), output, Epilogue::Plain)?;
    let Some(product) = product else { return Ok(c) };
    let cut = Cut { tile, parts: 1 };
    match product.on_units() {
        Some(kernels) => product.run_on_units(kernels, cut)?,
        None if half => {
            let message = "products on matrix units need an adapter that has them and sizes that are multiples of 4";
            return Err(Error::limit("matmul", message));
        }
        None => product.run_tiled(cut)?,
    }
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

/// How a product is cut for a GPU: a tile size, and parts of the depth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cut {
    tile: [u32; 5],
    parts: usize,
}

/// Workgroups that keep a large GPU busy.
const BUSY: usize = 256;
/// The least depth of a part, and the most parts: below, adding the parts up costs more than it brings.
const LEAST_PART: usize = 1024;
const MOST_PARTS: usize = 8;

fn tiles(batch: &Batch, tile: &[u32; 5]) -> usize {
    batch.matrices() * batch.rows.div_ceil(tile[0] as usize) * batch.columns.div_ceil(tile[1] as usize)
}

/// Parts of the depth, at most `most`, so that there are enough workgroups, if the depth allows.
fn parts(batch: &Batch, tile: &[u32; 5], most: usize) -> usize {
    let allowed = (batch.depth / LEAST_PART).clamp(1, most);
    BUSY.div_ceil(tiles(batch, tile).max(1)).next_power_of_two().min(allowed)
}

/// The largest tile of which there are enough to keep a large GPU busy, with the depth in parts if need be, and that a matrix
/// fills by more than half either way; else the smallest, likewise in parts.
fn cut(batch: &Batch, from: &[[u32; 5]], most_parts: usize) -> Cut {
    let filled = |tile: &&[u32; 5]| 2 * batch.rows > tile[0] as usize && 2 * batch.columns > tile[1] as usize;
    let busy = |tile: &&[u32; 5]| tiles(batch, tile) * parts(batch, tile, most_parts) >= BUSY;
    let tile = from.iter().filter(filled).find(busy).or(from.last()).copied().unwrap_or([1; 5]);
    Cut { tile, parts: parts(batch, &tile, most_parts) }
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
    let Some(product) = Product::new(gpu, operation, batch, left, right, output, epilogue)? else { return Ok(()) };
    let most_parts = product.most_parts();
    match product.on_units() {
        Some(kernels) => product.run_on_units(kernels, cut(&batch, &shaders::UNIT_TILES, most_parts)),
        None => product.run_tiled(cut(&batch, &shaders::TILES, most_parts)),
    }
}

/// A product that was checked and is not empty.
struct Product<'a> {
    gpu: &'a Gpu,
    operation: &'static str,
    batch: Batch,
    left: Operand<'a>,
    right: Operand<'a>,
    output: Output<'a>,
    epilogue: Epilogue<'a>,
    /// Whether A, B and C can be read and written in vectors: every stored row, and the first element, is at a multiple of
    /// four.
    vectors: [bool; 3],
}

impl<'a> Product<'a> {
    fn new(
        gpu: &'a Gpu,
        operation: &'static str,
        batch: Batch,
        left: Operand<'a>,
        right: Operand<'a>,
        output: Output<'a>,
        epilogue: Epilogue<'a>,
    ) -> Result<Option<Self>> {
        let elements = batch.elements();
        let tensors = [(left.tensor, left.first), (right.tensor, right.first), (output.tensor, output.first)];
        for ((tensor, first), size) in tensors.into_iter().zip(elements) {
            if first.saturating_add(size) > tensor.elements() {
                return Err(Error::shape(operation, format!("a product of {batch:?} reaches beyond {tensor:?}")));
            }
            if !matches!(tensor.dtype(), DType::F32 | DType::F16) {
                return Err(Error::dtype(operation, format!("a product on the GPU takes f32 or f16, got {tensor:?}")));
            }
        }
        let Batch { rows, columns, depth, .. } = batch;
        let vector = |first: usize, row: usize| first.is_multiple_of(4) && row.is_multiple_of(4);
        let vectors = [
            vector(left.first, if left.transposed { rows } else { depth }),
            vector(right.first, if right.transposed { depth } else { columns }),
            vector(output.first, columns),
        ];
        let product = Self { gpu, operation, batch, left, right, output, epilogue, vectors };
        Ok((elements[2] > 0).then_some(product))
    }

    fn halves(&self) -> [bool; 3] {
        [self.left.tensor, self.right.tensor, self.output.tensor].map(|tensor| tensor.dtype() == DType::F16)
    }

    /// The kernels of these types; `None` for f32 alone.
    fn mixed(&self) -> Option<&'static shaders::Mixed> {
        let [a, b, c] = self.halves().map(usize::from);
        (4 * a + 2 * b + c).checked_sub(1).map(|place| &shaders::MIXED[place])
    }

    /// The kernels on matrix units, if the product runs there: f16 is among its types, the adapter has them, all is read in
    /// vectors, and no products are summed.
    fn on_units(&self) -> Option<&'static shaders::Mixed> {
        let fits = self.gpu.uses_matrix_units()
            && self.vectors == [true; 3]
            && self.batch.summed() == 1
            && self.batch.depth > 0;
        self.mixed().filter(|_| fits)
    }

    /// In how many parts the depth may be cut: several only where sums in f32 come out, with nothing added to them but what
    /// the output holds, and none are sums of several products already.
    fn most_parts(&self) -> usize {
        let alone = matches!(self.epilogue, Epilogue::Plain | Epilogue::Accumulate);
        if alone && !self.halves()[2] && self.batch.summed() == 1 { MOST_PARTS } else { 1 }
    }

    fn run_tiled(&self, cut: Cut) -> Result<()> {
        let place = match self.vectors {
            [true, true, true] => 0,
            [true, true, false] => 1,
            [true, false, _] => 2,
            [false, true, _] => 3,
            [false, false, _] => 4,
        };
        let kernels = match self.mixed() {
            None => shaders::FULL[place],
            Some(mixed) => mixed.tiled[usize::from(place != 0)],
        };
        let summed = self.batch.summed() != 1;
        let tile = [cut.tile[0], cut.tile[1], cut.tile[2]];
        let whole = place == 0 && self.is_whole(tile);
        let constants = shaders::constants(cut.tile, [self.left.transposed, self.right.transposed], summed, whole);
        self.run(kernels, &constants, tile, cut.parts)
    }

    fn run_on_units(&self, mixed: &shaders::Mixed, cut: Cut) -> Result<()> {
        let place = 2 * usize::from(self.left.transposed) + usize::from(self.right.transposed);
        let tile = [cut.tile[0], cut.tile[1], cut.tile[2]];
        let sides = [self.left.transposed, self.right.transposed];
        let constants = shaders::unit_constants(cut.tile, sides, self.is_whole(tile));
        self.run(mixed.on_units[place], &constants, tile, cut.parts)
    }

    /// Whether tiles of this size, with this step along the depth, fill the matrices.
    fn is_whole(&self, tile: [u32; 3]) -> bool {
        let Batch { rows, columns, depth, .. } = self.batch;
        [rows, columns, depth].into_iter().zip(tile).all(|(size, part)| size > 0 && size.is_multiple_of(part as usize))
    }

    /// `tile`: rows, columns, and how much of the depth a kernel multiplies at a time.
    fn run(
        &self,
        kernels: shaders::Epilogues,
        constants: &[Constant],
        [tile_rows, tile_columns, step]: [u32; 3],
        parts: usize,
    ) -> Result<()> {
        let step = step as usize;
        let part_depth = self.batch.depth.div_ceil(parts).next_multiple_of(step).max(step);
        let elements = self.batch.elements();
        let sums = (parts > 1)
            .then(|| Tensor::on_gpu(self.gpu, self.operation, &[parts, elements[2]], DType::F32))
            .transpose()?;
        let (place, added) = match self.epilogue {
            Epilogue::Plain | Epilogue::Accumulate => (0, None),
            Epilogue::Bias(bias) => (1, Some(bias)),
            Epilogue::Residual(residual) => (2, Some(residual)),
        };
        let Some(kernel) = kernels.get(place) else {
            return Err(Error::dtype(self.operation, "a product with a bias or a residual is f32"));
        };
        let mut buffers = vec![self.left.tensor, self.right.tensor, sums.as_ref().unwrap_or(self.output.tensor)];
        buffers.extend(added);
        let Batch { rows, columns, depth, .. } = self.batch;
        let (row_tiles, column_tiles) = (rows.div_ceil(tile_rows as usize), columns.div_ceil(tile_columns as usize));
        let accumulate = matches!(self.epilogue, Epilogue::Accumulate);
        let first = if parts > 1 { 0 } else { self.output.first };
        let parameters = Parameters {
            accumulate: u32::from(accumulate && parts == 1),
            row_tiles: row_tiles as u32,
            column_tiles: column_tiles as u32,
            parts: parts as u32,
            part_depth: part_depth as u32,
            ..parameters(&self.batch, [self.left.first, self.right.first, first])
        };
        let products = (self.batch.matrices() * self.batch.summed()) as f64;
        let flops = 2.0 * (rows * columns) as f64 * depth as f64 * products;
        let sizes = [self.left.tensor, self.right.tensor, self.output.tensor].map(|tensor| tensor.dtype().bytes());
        let bytes = elements.iter().zip(sizes).map(|(&count, size)| (count * size) as f64).sum();
        let element = if self.halves().contains(&true) { DType::F16 } else { DType::F32 };
        self.gpu.dispatch(&Dispatch {
            operation: self.operation,
            kernel,
            element,
            constants,
            parameters: bytemuck::bytes_of(&parameters),
            buffers: &buffers,
            workgroups: Workgroups::Linear(column_tiles * row_tiles * self.batch.matrices() * parts),
            cost: Cost { flops, bytes },
        })?;
        let Some(sums) = sums else { return Ok(()) };
        let parameters = SumParts {
            count: elements[2] as u32,
            parts: parts as u32,
            offset: self.output.first as u32,
            accumulate: u32::from(accumulate),
        };
        self.gpu.dispatch(&Dispatch {
            operation: self.operation,
            kernel: &shaders::SUM_PARTS,
            element: DType::F32,
            constants: &[],
            parameters: bytemuck::bytes_of(&parameters),
            buffers: &[&sums, self.output.tensor],
            workgroups: Workgroups::Linear(elements[2].div_ceil(256)),
            cost: Cost { flops: (parts * elements[2]) as f64, bytes: 4.0 * ((parts + 1) * elements[2]) as f64 },
        })
    }
}

/// What follows from the batch and the places of the first elements alone.
fn parameters(batch: &Batch, [a_offset, b_offset, c_offset]: [usize; 3]) -> Parameters {
    let ([outer, middle, inner], [summed_outer, summed_inner]) = batch.walks();
    let walks = [outer, middle, inner, summed_outer, summed_inner];
    Parameters {
        rows: batch.rows as u32,
        columns: batch.columns as u32,
        depth: batch.depth as u32,
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
        ..Parameters::zeroed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tiled(sizes: [usize; 3], most_parts: usize) -> ([u32; 2], usize) {
        let [rows, columns, depth] = sizes;
        let Cut { tile, parts } = cut(&Batch::one(rows, columns, depth), &shaders::TILES, most_parts);
        ([tile[0], tile[1]], parts)
    }

    #[test]
    fn products_are_cut_so_that_a_large_gpu_is_busy() {
        // Enough large tiles; enough with the depth in parts; enough small ones only.
        assert_eq!(tiled([8192, 512, 512], MOST_PARTS), ([128, 64], 1));
        assert_eq!(tiled([512, 512, 8192], MOST_PARTS), ([128, 64], 8));
        assert_eq!(tiled([1024, 1024, 1024], MOST_PARTS), ([64, 64], 1));
        // What may not be cut along the depth takes smaller tiles instead.
        assert_eq!(tiled([512, 512, 8192], 1), ([32, 32], 1));
        assert_eq!(tiled([2048, 512, 8192], 1), ([64, 64], 1));
        // Never more parts than the depth is worth, nor tiles that a matrix does not fill.
        assert_eq!(tiled([64, 64, 2048], MOST_PARTS), ([32, 32], 2));
        assert_eq!(tiled([8192, 4, 512], MOST_PARTS), ([32, 32], 1));
        let units = cut(&Batch::one(2048, 512, 8192), &shaders::UNIT_TILES, 1);
        assert_eq!((units.tile[0], units.parts), (64, 1));
        let units = cut(&Batch::one(512, 2048, 8192), &shaders::UNIT_TILES, MOST_PARTS);
        assert_eq!((units.tile[0], units.parts), (128, 4));
    }
}
