//! Attention on a GPU: bindings, grids and variants.
//!
//! f16 and f32 share their kernels' text: operands are converted as they are loaded, results as they are stored, and all
//! between is f32. Only where [`Sizes::units`] says so do the kernels on matrix units run, which are f16's own.

use bytemuck::{Pod, Zeroable};
use gradus_shaders::{Constant, Kernel, attention as shaders};

use super::Saved;
use super::sizes::Sizes;
use crate::DType;
use crate::device::Gpu;
use crate::device::gpu::{Cost, Dispatch, Units, Workgroups};
use crate::error::Result;
use crate::tensor::Tensor;

/// Rows a workgroup of the plain kernels.
const ROWS: usize = 64;
/// How a query with a first key beyond its last one is named, in the error that the next read-back gives.
const FAULT: &str = "attention: first_key";
/// The least queries for which the matrix units pay: one tile.
const LEAST_UNITS: usize = 64;
/// The largest head_dim that they take.
const MOST_UNITS: usize = 128;
/// Bytes of workgroup memory that their kernels have at most, and with 16 rows a subgroup up to a head_dim of 64.
const UNITS_BYTES: [u32; 2] = [49_152, 32_768];
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
    operation: u32,
    not_a_number: u32,
}

impl Sizes {
    /// For a grid of `tiles` workgroups for each of `batch_heads` heads.
    fn parameters(&self, gpu: &Gpu, batch_heads: usize, tiles: usize) -> Parameters {
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
            part_keys: self.part_keys() as u32,
            operation: if self.documents { gpu.fault_code(FAULT) } else { 0 },
            not_a_number: f32::NAN.to_bits(),
        }
    }

    /// The variant of the kernels that work in tiles; see `attention/tile.wgsl`.
    fn tile_constants(&self, last: Constant) -> [Constant; 4] {
        let (across, span) = match self.head_dim {
            0..=32 => (8, 1),
            33..=128 => (8, 2),
            _ => (16, 1),
        };
        let slices = self.head_dim.div_ceil(4 * across).next_multiple_of(span);
        [("TX", across as u32), ("SPAN", span as u32), ("SLICES", slices as u32), last]
    }

    /// The rows that each subgroup of the kernels on matrix units keeps, if these kernels run: for f16, 64 queries and more
    /// and a head_dim that is a multiple of 16 up to 128, where the adapter has matrix units and enough workgroup memory.
    /// Up to a head_dim of 64 registers hold 32 rows.
    fn units(&self, gpu: &Gpu) -> Option<usize> {
        #[cfg(test)]
        if let Some(each) = super::tests::matrices::emulated_units() {
            return Some(each);
        }
        let &Self { element, queries, head_dim, .. } = self;
        let takes = element == DType::F16
            && queries >= LEAST_UNITS
            && head_dim.is_multiple_of(16)
            && head_dim <= MOST_UNITS
            && gpu.trusts(Units::Attention { head_dim });
        let memory = gpu.report().limits.max_compute_workgroup_storage_size;
        let [most, least] = UNITS_BYTES;
        match head_dim {
            _ if !takes || memory < least => None,
            0..=64 if memory >= most => Some(32),
            0..=64 => Some(16),
            _ => (memory >= most).then_some(16),
        }
    }

    /// The variant of the kernels on matrix units.
    fn units_constants(&self, each: usize, last: Constant) -> [Constant; 3] {
        [("HEAD_DIM", self.head_dim as u32), ("EACH", each as u32), last]
    }

    /// The kernel that reads rows of this head_dim: four columns at once where they are whole vectors.
    fn reading(&self, kernels: &'static [Kernel; 2]) -> &'static Kernel {
        &kernels[usize::from(!self.head_dim.is_multiple_of(4))]
    }

    /// The cost of `products` multiply-adds for each element of each row that a query sees.
    fn cost(&self, products: f64) -> Cost {
        let rows = self.batch * (2 * self.queries * self.heads + 2 * self.keys * self.kv_heads);
        Cost {
            flops: 2.0 * products * self.pairs() * self.head_dim as f64,
            bytes: (self.element.bytes() * rows * self.head_dim) as f64,
        }
    }
}

/// A kernel that works in tiles, its constants, and the rows a workgroup has.
struct Variant {
    kernel: &'static Kernel,
    constants: Vec<Constant>,
    rows: usize,
}

fn dispatch(
    (sizes, gpu): (&Sizes, &Gpu),
    kernel: &'static Kernel,
    constants: &[Constant],
    parameters: Parameters,
    buffers: &[&Tensor],
    (workgroups, cost): (usize, Cost),
) -> Result<()> {
    #[cfg(test)]
    let kernel = super::tests::matrices::emulated(kernel);
    gpu.dispatch(&Dispatch {
        operation: "attention",
        kernel,
        element: sizes.element,
        constants,
        parameters: bytemuck::bytes_of(&parameters),
        buffers,
        workgroups: Workgroups::Linear(workgroups),
        cost,
    })
}

/// The tensors that the kernels with documents bind behind the others.
fn of_documents(gpu: &Gpu, first_key: Option<&Tensor>) -> Result<Vec<Tensor>> {
    first_key.map_or_else(|| Ok(Vec::new()), |first_key| Ok(vec![first_key.clone(), gpu.faults()?]))
}

/// `tensors` and what `of_documents` gave.
fn joined<'a>(tensors: &[&'a Tensor], documents: &'a [Tensor]) -> Vec<&'a Tensor> {
    tensors.iter().copied().chain(documents).collect()
}

pub(super) fn forward(sizes: &Sizes, gpu: &Gpu, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
    sizes.expect_addressable()?;
    if sizes.queries == 1 { step(sizes, gpu, inputs) } else { tiles(sizes, gpu, inputs) }
}

fn outputs(sizes: &Sizes, gpu: &Gpu) -> Result<[Tensor; 2]> {
    let &Sizes { element, batch, queries, heads, head_dim, .. } = sizes;
    Ok([
        Tensor::on_gpu(gpu, "attention", &[batch, queries, heads, head_dim], element)?,
        Tensor::on_gpu(gpu, "attention", &[batch, heads, queries, 2], DType::F32)?,
    ])
}

/// Output and normalizers by tiles of queries.
fn tiles(sizes: &Sizes, gpu: &Gpu, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
    let &Sizes { batch, queries, heads, documents, .. } = sizes;
    let [output, normalizers] = outputs(sizes, gpu)?;
    let extra = of_documents(gpu, inputs.get(3).copied())?;
    let first_keys = ("FIRST_KEYS", if documents { 6 } else { 0 });
    let variant = match sizes.units(gpu) {
        // 16 rows each whatever head_dim is: with 32 fewer workgroups fit on a processor (1.89 and 1.71 ms on an H100).
        Some(_) => Variant {
            kernel: &shaders::FORWARD_UNITS[usize::from(documents)],
            constants: sizes.units_constants(16, first_keys).to_vec(),
            rows: 64,
        },
        None => Variant {
            kernel: sizes.reading(&shaders::FORWARD[usize::from(documents)]),
            constants: sizes.tile_constants(first_keys).to_vec(),
            rows: ROWS,
        },
    };
    let tiles = queries.div_ceil(variant.rows);
    dispatch(
        (sizes, gpu),
        variant.kernel,
        &variant.constants,
        sizes.parameters(gpu, batch * heads, tiles),
        &joined(&[inputs[0], inputs[1], inputs[2], &output, &normalizers], &extra),
        (batch * heads * tiles, sizes.cost(2.0)),
    )?;
    Ok(vec![output, normalizers])
}

/// One query a head: tiles of queries would leave a GPU idle, so the keys are cut into parts.
fn step(sizes: &Sizes, gpu: &Gpu, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
    let &Sizes { batch, heads, head_dim, documents, .. } = sizes;
    let [output, normalizers] = outputs(sizes, gpu)?;
    let partial = Tensor::on_gpu(gpu, "attention", &sizes.partial(), DType::F32)?;
    let parts = partial.sizes()[2];
    let parameters = sizes.parameters(gpu, batch * heads, parts);
    let extra = of_documents(gpu, inputs.get(3).copied())?;
    dispatch(
        (sizes, gpu),
        sizes.reading(&shaders::STEP_PART[usize::from(documents)]),
        &[("SLICES", head_dim.div_ceil(64) as u32), ("FIRST_KEYS", if documents { 5 } else { 0 })],
        parameters,
        &joined(&[inputs[0], inputs[1], inputs[2], &partial], &extra),
        (batch * heads * parts, sizes.cost(2.0)),
    )?;
    let elements = partial.elements() as f64;
    let cost = Cost { flops: 2.0 * elements, bytes: 4.0 * elements };
    let merged = [&partial, &output, &normalizers];
    dispatch((sizes, gpu), &shaders::STEP_MERGE, &[], parameters, &merged, (batch * heads, cost))?;
    Ok(vec![output, normalizers])
}

/// What the kernels of the gradients need of each query row.
fn terms(sizes: &Sizes, gpu: &Gpu, saved: &Saved) -> Result<Tensor> {
    let &Sizes { batch, queries, heads, documents, .. } = sizes;
    let &Saved { query, key, value, first_key, output, normalizers, d_output } = saved;
    let terms = Tensor::on_gpu(gpu, "attention", &[batch, heads, queries, 4], DType::U32)?;
    // A single step adds up its scores in an order of its own. The gradients compute them by tiles: so do the normalizers
    // that they are taken with, since beside a large score the least difference counts.
    let inputs: Vec<&Tensor> = [query, key, value].into_iter().chain(first_key).collect();
    let by_tiles = if queries == 1 { tiles(sizes, gpu, &inputs)? } else { Vec::new() };
    let normalizers = by_tiles.get(1).unwrap_or(normalizers);
    let elements = 2.0 * output.elements() as f64;
    dispatch(
        (sizes, gpu),
        &shaders::TERMS[usize::from(documents)],
        &[("FIRST_KEYS", if documents { 5 } else { 0 })],
        sizes.parameters(gpu, batch * heads, 0),
        &[output, d_output, normalizers, &terms].into_iter().chain(first_key).collect::<Vec<_>>(),
        ((batch * heads * queries).div_ceil(TERMS_ROWS), Cost { flops: elements, bytes: 4.0 * elements }),
    )?;
    Ok(terms)
}

pub(super) fn backward(sizes: &Sizes, gpu: &Gpu, saved: &Saved, needs: &[bool]) -> Result<Vec<Option<Tensor>>> {
    sizes.expect_addressable()?;
    let &Sizes { batch, queries, capacity, heads, kv_heads, documents, .. } = sizes;
    let &Saved { query, key, value, d_output, .. } = saved;
    let allocate = |shape: &[usize]| Tensor::on_gpu(gpu, "attention", shape, sizes.element);
    let terms = terms(sizes, gpu, saved)?;
    let of_documents = ("DOCUMENTS", u32::from(documents));
    let variant = |plain: &'static [Kernel; 2], units: &'static Kernel| match sizes.units(gpu) {
        Some(each) => {
            Variant { kernel: units, constants: sizes.units_constants(each, of_documents).to_vec(), rows: 2 * each }
        }
        None => {
            Variant { kernel: sizes.reading(plain), constants: sizes.tile_constants(of_documents).to_vec(), rows: ROWS }
        }
    };
    let mut gradients = vec![None; 3 + usize::from(documents)];
    if needs[0] {
        let d_query = allocate(query.sizes())?;
        let Variant { kernel, constants, rows } = variant(&shaders::BACKWARD_QUERY, &shaders::BACKWARD_QUERY_UNITS);
        let tiles = queries.div_ceil(rows);
        dispatch(
            (sizes, gpu),
            kernel,
            &constants,
            sizes.parameters(gpu, batch * heads, tiles),
            &[query, key, value, d_output, &terms, &d_query],
            (batch * heads * tiles, sizes.cost(3.0)),
        )?;
        gradients[0] = Some(d_query);
    }
    if needs[1] || needs[2] {
        let (d_key, d_value) = (allocate(key.sizes())?, allocate(value.sizes())?);
        let Variant { kernel, constants, rows } = variant(&shaders::BACKWARD_KEY, &shaders::BACKWARD_KEY_UNITS);
        let tiles = capacity.div_ceil(rows);
        dispatch(
            (sizes, gpu),
            kernel,
            &constants,
            sizes.parameters(gpu, batch * kv_heads, tiles),
            &[query, key, value, d_output, &terms, &d_key, &d_value],
            (batch * kv_heads * tiles, sizes.cost(4.0)),
        )?;
        (gradients[1], gradients[2]) = (Some(d_key), Some(d_value));
    }
    Ok(gradients)
}
