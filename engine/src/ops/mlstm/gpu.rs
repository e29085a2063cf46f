//! The forward and the single step on a GPU: bindings and grids.

use bytemuck::{Pod, Zeroable};
use gradus_shaders::{Constant, Kernel, mlstm as shaders};

use super::{Mlstm, Sizes, optional, units};
use crate::DType;
use crate::device::gpu::{Cost, Dispatch, Units, Workgroups};
use crate::device::{Device, Gpu};
use crate::error::{Error, Result};
use crate::tensor::{Spec, Tensor};

/// Planes of `gates`, and numbers of each chunk behind them, as in mlstm/layout.wgsl.
const GATE_PLANES: usize = 8;
const CHUNK_NUMBERS: usize = 3;
/// The flags of mlstm/layout.wgsl.
pub(super) const STATE_GIVEN: u32 = 1;
pub(super) const STABILIZER_GRADIENT_GIVEN: u32 = 2;
pub(super) const FINAL_GRADIENT_GIVEN: u32 = 4;
pub(super) const RESET_GIVEN: u32 = 8;
/// Rows and columns of the output that one workgroup of the tile kernels computes.
const TILE: usize = 64;
/// Workgroup memory of a tile kernel that computes twice as many columns, in bytes: more than the least device has.
const WIDE_MEMORY: u32 = 19_328;
/// Rows and columns of the state that one workgroup of the state kernels computes.
const STATE_TILE: usize = 32;
/// Workgroups that fill a large card: where there are fewer, tiles of the state are smaller.
const MANY: usize = 128;
const LANES: usize = 256;

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub(super) struct Parameters {
    sequence: u32,
    heads: u32,
    cells: u32,
    chunks: u32,
    chunk_size: u32,
    qk_dim: u32,
    v_dim: u32,
    flags: u32,
    scale: f32,
    epsilon: f32,
    _align: [u32; 2],
}

/// One call: where it runs and its sizes.
pub(super) struct Call<'a> {
    pub gpu: &'a Gpu,
    pub sizes: Sizes,
    pub operation: &'a Mlstm,
    /// The type of query, key, value and their gradients; all else is f32.
    pub element: DType,
    /// Whether the products run on matrix units.
    pub units: bool,
}

impl<'a> Call<'a> {
    /// A call all of whose indices fit into 32 bits.
    pub(super) fn new(gpu: &'a Gpu, operation: &'a Mlstm, inputs: &[&Tensor]) -> Result<Self> {
        let (sizes, element) = (operation.sizes_of(inputs)?, inputs[0].dtype());
        expect_indexable(sizes)?;
        let Sizes { qk_dim, v_dim, chunk_size, .. } = sizes;
        let units = element == DType::F16
            && units::fits_heads(qk_dim, v_dim)
            && gpu.trusts(Units::Mlstm { qk_dim, v_dim, chunk_size });
        let call = Self { gpu, sizes, operation, element, units };
        Ok(call)
    }

    /// The variant of the kernels that know the input gate's function.
    pub(super) fn gate_variant(&self) -> [Constant; 1] {
        [("SIGMOID", self.operation.input_gate.is_sigmoid().into())]
    }

    /// The variant of the kernels that divide by D, or do not.
    pub(super) fn output_variant(&self) -> [Constant; 1] {
        [("NORMALIZE", self.operation.input_gate.normalizes().into())]
    }

    pub(super) fn tensor(&self, sizes: &[usize]) -> Result<Tensor> {
        Tensor::on_gpu(self.gpu, "mlstm", sizes, DType::F32)
    }

    /// A gradient of query, key or value.
    pub(super) fn element_tensor(&self, sizes: &[usize]) -> Result<Tensor> {
        Tensor::on_gpu(self.gpu, "mlstm", sizes, self.element)
    }

    pub(super) fn zeros(&self, sizes: &[usize]) -> Result<Tensor> {
        Tensor::zeros(&Device::Gpu(self.gpu.clone()), Spec::new(sizes, DType::F32)?)
    }

    pub(super) fn dispatch(
        &self,
        kernel: &'static Kernel,
        constants: &[Constant],
        flags: u32,
        buffers: &[&Tensor],
        workgroups: usize,
        flops: f64,
    ) -> Result<()> {
        let sizes = self.sizes;
        let parameters = Parameters {
            sequence: sizes.sequence as u32,
            heads: sizes.heads as u32,
            cells: sizes.cells() as u32,
            chunks: sizes.chunks() as u32,
            chunk_size: sizes.chunk_size as u32,
            qk_dim: sizes.qk_dim as u32,
            v_dim: sizes.v_dim as u32,
            flags,
            scale: sizes.scale() as f32,
            epsilon: self.operation.epsilon as f32,
            _align: [0; 2],
        };
        self.gpu.dispatch(&Dispatch {
            operation: "mlstm",
            kernel,
            element: self.element,
            constants,
            parameters: bytemuck::bytes_of(&parameters),
            buffers,
            workgroups: Workgroups::Linear(workgroups),
            cost: Cost { flops, bytes: buffers.iter().map(|tensor| tensor.spec().bytes() as f64).sum() },
        })
    }

    /// Runs a tile kernel whose scores are products along `depth` and whose output is `width` wide, in tiles of 64 columns, or
    /// of 128 where there are more and the device has the memory, which need the scores half as often.
    pub(super) fn in_tiles(
        &self,
        kernel: &'static Kernel,
        constants: &[Constant],
        buffers: &[&Tensor],
        [depth, width]: [usize; 2],
    ) -> Result<()> {
        let sizes = self.sizes;
        let has_memory = self.gpu.report().limits.max_compute_workgroup_storage_size >= WIDE_MEMORY;
        let wide = if width > TILE && has_memory { 2 } else { 1 };
        let across = width.div_ceil(wide * TILE);
        // Half the scores of each chunk, once for each tile of the width, and the state's part.
        let positions = (sizes.cells() * sizes.sequence) as f64;
        let scores = (sizes.chunk_size + TILE) * (depth * across + width);
        let flops = positions * (scores + 2 * sizes.state()) as f64;
        let constants = [constants, &[("WIDE", wide as u32)]].concat();
        let workgroups = across * sizes.chunk_size.div_ceil(TILE) * sizes.chunks() * sizes.cells();
        self.dispatch(kernel, &constants, 0, buffers, workgroups, flops)
    }

    /// The side of a tile of the state, and how many tiles there are.
    pub(super) fn state_tiles(&self) -> (u32, usize) {
        let sizes = self.sizes;
        let tiles = |side: usize| sizes.qk_dim.div_ceil(side) * sizes.v_dim.div_ceil(side) * sizes.cells();
        if tiles(64) >= MANY { (64, tiles(64)) } else { (32, tiles(32)) }
    }

    pub(super) fn state_flops(&self) -> f64 {
        2.0 * (self.sizes.cells() * self.sizes.sequence * self.sizes.state()) as f64
    }

    /// Numbers of `states`: C, n, m and a scale at every border; whole vectors of four.
    fn border_elements(&self) -> usize {
        let sizes = self.sizes;
        ((sizes.chunks() + 1) * sizes.cells() * (sizes.state() + sizes.qk_dim + 2)).next_multiple_of(4)
    }

    /// Where C, n and m of a border start in `states`, and how many numbers each has.
    fn border(&self, slot: usize) -> [(usize, usize); 3] {
        let (sizes, slots) = (self.sizes, self.sizes.chunks() + 1);
        let mut start = 0;
        [sizes.state(), sizes.qk_dim, 1].map(|width| {
            let count = sizes.cells() * width;
            let place = (start + slot * count, count);
            start += slots * count;
            place
        })
    }

    /// Copies C, n, m between tensors and their border in `states`; `None` is left out.
    pub(super) fn copy_border(
        &self,
        states: &Tensor,
        slot: usize,
        tensors: [Option<&Tensor>; 3],
        into: bool,
    ) -> Result<()> {
        let inside = states.gpu_buffer("mlstm", self.gpu)?;
        for ((first, count), tensor) in self.border(slot).into_iter().zip(tensors) {
            let Some(tensor) = tensor else { continue };
            let outside = (&tensor.gpu_buffer("mlstm", self.gpu)?.raw, 0);
            let inside = (&inside.raw, 4 * first as u64);
            let (from, to) = if into { (outside, inside) } else { (inside, outside) };
            self.gpu.copy(from, to, 4 * count as u64);
        }
        Ok(())
    }

    /// A tensor laid out as `states`.
    pub(super) fn borders(&self) -> Result<Tensor> {
        self.tensor(&[self.border_elements()])
    }

    /// `gates` and `states` of the inputs: the same in forward and backward.
    pub(super) fn gates_and_states(&self, inputs: &[&Tensor]) -> Result<(Tensor, Tensor)> {
        let sizes = self.sizes;
        let gates = self.tensor(&[sizes.cells() * (GATE_PLANES * sizes.sequence + CHUNK_NUMBERS * sizes.chunks())])?;
        let workgroups = sizes.cells() * sizes.chunks();
        let positions = (sizes.cells() * sizes.sequence) as f64;
        let flops = positions * (2 * sizes.chunk_size + 20) as f64;
        let (state, reset) = optional(inputs);
        let flags = if reset.is_some() { RESET_GIVEN } else { 0 };
        // Where no resets are given, the flag says not to read them.
        let buffers = [inputs[3], inputs[4], reset.unwrap_or(&inputs[4]), &gates];
        self.dispatch(&shaders::GATES, &self.gate_variant(), flags, &buffers, workgroups, flops)?;
        let states = self.borders()?;
        let mut flags = 0;
        if let Some([memory, normalizer, stabilizer]) = state {
            flags = STATE_GIVEN;
            let zeros;
            let stabilizer = if self.operation.input_gate.is_sigmoid() {
                zeros = self.zeros(&sizes.stabilizer())?;
                &zeros
            } else {
                stabilizer
            };
            self.copy_border(&states, 0, [Some(memory), Some(normalizer), Some(stabilizer)], true)?;
        }
        let buffers = [inputs[1], inputs[2], &gates, &states];
        if self.units {
            self.units_states(flags, &buffers)?;
        } else {
            let (side, tiles) = self.state_tiles();
            self.dispatch(&shaders::STATES, &[("SIDE", side)], flags, &buffers, tiles, self.state_flops())?;
        }
        Ok((gates, states))
    }
}

/// Refuses a call with more elements in a buffer than 32-bit indices reach.
pub(super) fn expect_indexable(sizes: Sizes) -> Result<()> {
    let positions = sizes.cells() as u128 * sizes.sequence as u128;
    let (cells, chunks) = (sizes.cells() as u128, sizes.chunks() as u128);
    let (qk_dim, v_dim) = (sizes.qk_dim as u128, sizes.v_dim as u128);
    let buffers = [
        ("query", positions * qk_dim),
        ("value", positions * v_dim),
        ("the gates", positions * GATE_PLANES as u128 + CHUNK_NUMBERS as u128 * cells * chunks),
        ("what the backward needs of the positions", units::row_elements(sizes)),
        (
            "the states at the borders of chunks",
            ((chunks + 1) * cells * (qk_dim * v_dim + qk_dim + 2)).next_multiple_of(4),
        ),
    ];
    match buffers.into_iter().find(|&(_, elements)| elements > u128::from(u32::MAX)) {
        None => Ok(()),
        Some((name, elements)) => Err(Error::limit(
            "mlstm",
            format!(
                "{name} would have {elements} elements, 32-bit indices reach {}: query is {:?}, value {:?}, chunk_size {}; \
                 use a smaller batch or larger chunks",
                u32::MAX,
                sizes.query(),
                sizes.value(),
                sizes.chunk_size,
            ),
        )),
    }
}

pub(super) fn forward(operation: &Mlstm, gpu: &Gpu, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
    let call = Call::new(gpu, operation, inputs)?;
    let sizes = call.sizes;
    let (gates, states) = call.gates_and_states(inputs)?;
    let (h, den) = (call.tensor(&sizes.value())?, call.tensor(&sizes.gate())?);
    let buffers = [inputs[0], inputs[1], inputs[2], &gates, &states, &h, &den];
    if call.units {
        call.units_output(&buffers)?;
    } else {
        call.in_tiles(&shaders::OUTPUT, &call.output_variant(), &buffers, [sizes.qk_dim, sizes.v_dim])?;
    }
    if !operation.final_state {
        return Ok(vec![h, den]);
    }
    let memory = call.tensor(&sizes.memory())?;
    let normalizer = call.tensor(&sizes.normalizer())?;
    let stabilizer = call.tensor(&sizes.stabilizer())?;
    call.copy_border(&states, sizes.chunks(), [Some(&memory), Some(&normalizer), Some(&stabilizer)], false)?;
    Ok(vec![h, memory, normalizer, stabilizer, den])
}

/// Three kernels, since C, n and m with what they are computed from are more than seven buffers; C, nearly all of the
/// state, is read and written once by one of them.
pub(super) fn step(gpu: &Gpu, operation: &Mlstm, inputs: &[&Tensor]) -> Result<[Tensor; 4]> {
    let call = Call::new(gpu, operation, inputs)?;
    let sizes = call.sizes;
    let [query, key, value, input_gate, forget_gate, memory, normalizer, stabilizer, reset @ ..] = inputs else {
        return Err(Error::shape("mlstm_step", "takes the state before the position"));
    };
    let cells = sizes.cells();
    let factors = call.tensor(&[cells, 4])?;
    let (h, next_memory) = (call.tensor(&sizes.value())?, call.tensor(&sizes.memory())?);
    let (next_normalizer, next_stabilizer) = (call.tensor(&sizes.normalizer())?, call.tensor(&sizes.stabilizer())?);
    let flags = if reset.is_empty() { 0 } else { RESET_GIVEN };
    let reset = reset.first().unwrap_or(forget_gate);
    let buffers = [input_gate, forget_gate, stabilizer, reset, &next_stabilizer, &factors];
    call.dispatch(
        &shaders::STEP_GATES,
        &call.gate_variant(),
        flags,
        &buffers,
        cells.div_ceil(LANES),
        30.0 * cells as f64,
    )?;
    let buffers = [query, key, normalizer, &factors, &next_normalizer];
    call.dispatch(
        &shaders::STEP_NORMALIZER,
        &call.output_variant(),
        0,
        &buffers,
        cells,
        6.0 * (cells * sizes.qk_dim) as f64,
    )?;
    let buffers = [query, key, value, memory, &factors, &next_memory, &h];
    let workgroups = cells * sizes.v_dim.div_ceil(STATE_TILE);
    call.dispatch(&shaders::STEP_MEMORY, &[], 0, &buffers, workgroups, 6.0 * (cells * sizes.state()) as f64)?;
    Ok([h, next_memory, next_normalizer, next_stabilizer])
}
