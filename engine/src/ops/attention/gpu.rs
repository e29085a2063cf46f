//! Attention on a GPU: bindings, grids and variants.

use bytemuck::{Pod, Zeroable};
use gradus_shaders::{Constant, Kernel, attention as shaders};

use super::Saved;
use super::sizes::Sizes;
use crate::DType;
use crate::device::Gpu;
use crate::device::gpu::{Cost, Dispatch, Workgroups};
use crate::error::{Error, Result};
use crate::tensor::Tensor;

/// Rows a workgroup, and keys a chunk of a single step.
const ROWS: usize = 64;
/// The most parts that the keys of a single step are cut into: enough to fill a GPU, few enough to join quickly.
const MOST_PARTS: usize = 64;
/// Rows of terms a workgroup.
const TERMS_ROWS: usize = 8;

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Parameters {
    queries: u32,
    keys: u32,
    capacity: u32,
    heads: u32,
    kv_heads: u32,
    group: u32,
    head_dim: u32,
    offset: u32,
    scale: f32,
    batch_heads: u32,
    tiles: u32,
    part_keys: u32,
}

impl Sizes {
    /// For a grid of `tiles` workgroups for each of `batch_heads` heads.
    fn parameters(&self, batch_heads: usize, tiles: usize, part_keys: usize) -> Parameters {
        Parameters {
            queries: self.queries as u32,
            keys: self.keys as u32,
            capacity: self.capacity as u32,
            heads: self.heads as u32,
            kv_heads: self.kv_heads as u32,
            group: self.group() as u32,
            head_dim: self.head_dim as u32,
            offset: self.offset() as u32,
            scale: self.scale() as f32,
            batch_heads: batch_heads as u32,
            tiles: tiles as u32,
            part_keys: part_keys as u32,
        }
    }

    /// The variant of the kernels that work in tiles; see `attention/tile.wgsl`.
    fn tile_constants(&self) -> [Constant; 3] {
        let (across, span) = match self.head_dim {
            0..=32 => (8, 1),
            33..=128 => (8, 2),
            _ => (16, 1),
        };
        let slices = self.head_dim.div_ceil(4 * across).next_multiple_of(span);
        [("TX", across as u32), ("SPAN", span as u32), ("SLICES", slices as u32)]
    }

    /// The kernel that reads rows of this head_dim: four columns at once where they are whole vectors.
    fn reading(&self, kernels: &'static [Kernel; 2]) -> &'static Kernel {
        &kernels[usize::from(!self.head_dim.is_multiple_of(4))]
    }

    /// The cost of `products` multiply-adds for each element of each row that a query sees.
    fn cost(&self, products: f64) -> Cost {
        let rows = self.batch * (2 * self.queries * self.heads + 2 * self.keys * self.kv_heads);
        Cost { flops: 2.0 * products * self.pairs() * self.head_dim as f64, bytes: 4.0 * (rows * self.head_dim) as f64 }
    }

    /// Places in tensors are 32-bit numbers in the kernels.
    fn expect_addressable(&self) -> Result<()> {
        let elements = self.batch * self.head_dim * (self.queries * self.heads).max(self.capacity * self.kv_heads);
        if elements > u32::MAX as usize / 2 {
            return Err(Error::limit(
                "attention",
                format!(
                    "{elements} elements in one tensor are more than the 2^31 that the kernels address; cut the batch"
                ),
            ));
        }
        Ok(())
    }
}

fn dispatch(
    gpu: &Gpu,
    kernel: &'static Kernel,
    constants: &[Constant],
    parameters: Parameters,
    buffers: &[&Tensor],
    (workgroups, cost): (usize, Cost),
) -> Result<()> {
    gpu.dispatch(&Dispatch {
        operation: "attention",
        kernel,
        element: DType::F32,
        constants,
        parameters: bytemuck::bytes_of(&parameters),
        buffers,
        workgroups: Workgroups::Linear(workgroups),
        cost,
    })
}

pub(super) fn forward(sizes: &Sizes, gpu: &Gpu, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
    sizes.expect_addressable()?;
    let &Sizes { batch, queries, heads, head_dim, .. } = sizes;
    let output = Tensor::on_gpu(gpu, "attention", &[batch, queries, heads, head_dim], DType::F32)?;
    let lse = Tensor::on_gpu(gpu, "attention", &[batch, heads, queries], DType::F32)?;
    if queries == 1 {
        step(sizes, gpu, inputs, [&output, &lse])?;
    } else {
        let tiles = queries.div_ceil(ROWS);
        dispatch(
            gpu,
            sizes.reading(&shaders::FORWARD),
            &sizes.tile_constants(),
            sizes.parameters(batch * heads, tiles, 0),
            &[inputs[0], inputs[1], inputs[2], &output, &lse],
            (batch * heads * tiles, sizes.cost(2.0)),
        )?;
    }
    Ok(vec![output, lse])
}

/// One query a head: tiles of queries would leave a GPU idle, so the keys are cut into parts.
fn step(sizes: &Sizes, gpu: &Gpu, inputs: &[&Tensor], [output, lse]: [&Tensor; 2]) -> Result<()> {
    let &Sizes { batch, keys, heads, head_dim, .. } = sizes;
    let part_keys = keys.div_ceil(MOST_PARTS).next_multiple_of(ROWS);
    let parts = keys.div_ceil(part_keys);
    let partial = Tensor::on_gpu(gpu, "attention", &[batch, heads, parts, head_dim + 2], DType::F32)?;
    let parameters = sizes.parameters(batch * heads, parts, part_keys);
    dispatch(
        gpu,
        sizes.reading(&shaders::STEP_PART),
        &[("SLICES", head_dim.div_ceil(64) as u32)],
        parameters,
        &[inputs[0], inputs[1], inputs[2], &partial],
        (batch * heads * parts, sizes.cost(2.0)),
    )?;
    let elements = partial.elements() as f64;
    let cost = Cost { flops: 2.0 * elements, bytes: 4.0 * elements };
    dispatch(gpu, &shaders::STEP_MERGE, &[], parameters, &[&partial, output, lse], (batch * heads, cost))
}

pub(super) fn backward(sizes: &Sizes, gpu: &Gpu, saved: &Saved, needs: &[bool]) -> Result<Vec<Option<Tensor>>> {
    sizes.expect_addressable()?;
    let &Sizes { batch, queries, capacity, heads, kv_heads, .. } = sizes;
    let &Saved { query, key, value, output, lse, d_output } = saved;
    let allocate = |sizes: &[usize]| Tensor::on_gpu(gpu, "attention", sizes, DType::F32);
    let terms = allocate(&[batch, heads, queries, 2])?;
    let elements = 2.0 * output.elements() as f64;
    dispatch(
        gpu,
        &shaders::TERMS,
        &[],
        sizes.parameters(batch * heads, 0, 0),
        &[output, d_output, lse, &terms],
        ((batch * heads * queries).div_ceil(TERMS_ROWS), Cost { flops: elements, bytes: 4.0 * elements }),
    )?;
    let constants = sizes.tile_constants();
    let mut gradients = vec![None, None, None];
    if needs[0] {
        let d_query = allocate(query.sizes())?;
        let tiles = queries.div_ceil(ROWS);
        dispatch(
            gpu,
            sizes.reading(&shaders::BACKWARD_QUERY),
            &constants,
            sizes.parameters(batch * heads, tiles, 0),
            &[query, key, value, d_output, &terms, &d_query],
            (batch * heads * tiles, sizes.cost(3.0)),
        )?;
        gradients[0] = Some(d_query);
    }
    if needs[1] || needs[2] {
        let (d_key, d_value) = (allocate(key.sizes())?, allocate(value.sizes())?);
        let tiles = capacity.div_ceil(ROWS);
        dispatch(
            gpu,
            sizes.reading(&shaders::BACKWARD_KEY),
            &constants,
            sizes.parameters(batch * kv_heads, tiles, 0),
            &[query, key, value, d_output, &terms, &d_key, &d_value],
            (batch * kv_heads * tiles, sizes.cost(4.0)),
        )?;
        (gradients[1], gradients[2]) = (Some(d_key), Some(d_value));
    }
    Ok(gradients)
}
