//! The kernels on matrix units: which call takes them, bindings and grids.
//!
//! They multiply f16 and sum in f32. Rounded to f16 are query, key and value, which are f16; X = dH/D with powers of two taken
//! out of its rows; the scores and their gradients, whose weights are at most 1; and the state before a chunk, or its gradient,
//! by a power of two at least its largest number (shaders/mlstm/units_layout.wgsl). The states themselves stay f32 from the
//! first chunk to the last, in the sums of the matrix units, and are stored at the borders of chunks.
//!
//! The chunk. A position costs 2·dqk·dv operations to read the state before its chunk and as many to write it, and for the
//! scores of a chunk of L in tiles of 64 rows (L + 64)·(dqk + dv). It costs 4·dqk·dv / L bytes to store the state at the border,
//! and dqk·dv / 16 to read it for each 64 rows. With dqk = 128 and dv = 256 these are, for L = 64, 128 and 256, 180,000, 205,000 and
//! 254,000 operations, and 2,048, 1,024 and 512 bytes beside 4,096 of the inputs, the output and the reading: at 150 TFLOP/s
//! and 2.5 TB/s 1.2, 1.4 and 1.7 ns beside 2.5, 2.0 and 1.8 ns. The sum changes little; but each of the (L + 64) / 2 scores of a
//! position costs plain code as well, an exponential and two roundings through workgroup memory, in each of four kernels.
//! Hence 128 for large heads ([`super::chunk_size_for`]): forward and backward took 7.2, 6.6 and 7.1 ms on an H100. The chain over the chunks has the same
//! length at all sizes: the kernel of the states goes on in panels of 64.

use gradus_shaders::mlstm as shaders;

use super::Sizes;
use super::backward_gpu::{DOTS, Given, Made};
use super::gpu::Call;
use crate::error::Result;
use crate::tensor::Tensor;

/// Rows of the output of a workgroup of the tile kernels, and columns for each of its BLOCKS.
const TILE: usize = 64;
/// Planes of `rows`, and numbers of each chunk behind them, as in mlstm/units_layout.wgsl.
const ROW_PLANES: usize = 15;
const CHUNK_NUMBERS: usize = 2;
const LANES: usize = 256;

/// The rule: matrices are 16 x 16, so heads are multiples of 16 wide. Chunks and sequences may have any length.
pub(super) fn fits_heads(qk_dim: usize, v_dim: usize) -> bool {
    qk_dim.is_multiple_of(16) && v_dim.is_multiple_of(16)
}

/// Blocks of 64 columns that a workgroup computes: the more, the fewer times the scores are computed; at most `most`.
fn blocks(width: usize, most: usize) -> usize {
    match width {
        ..=64 => 1,
        65..=128 => 2,
        _ => most,
    }
}

/// The most blocks where the state is read as it is stored, and where it is read transposed.
const MOST: usize = 4;
const MOST_TRANSPOSED: usize = 2;

/// Numbers of `rows`: the planes, numbers of the chunks, and four planes of dot products for each tile of a gradient's columns.
pub(super) fn row_elements(sizes: Sizes) -> u128 {
    let (cells, sequence) = (sizes.cells() as u128, sizes.sequence as u128);
    let tiles = sizes.qk_dim.div_ceil(TILE * blocks(sizes.qk_dim, MOST_TRANSPOSED)) as u128;
    cells * ((ROW_PLANES as u128 + 4 * tiles) * sequence + CHUNK_NUMBERS as u128 * sizes.chunks() as u128)
}

impl Call<'_> {
    fn units_workgroups(&self, width: usize, blocks: usize) -> usize {
        let sizes = self.sizes;
        width.div_ceil(TILE * blocks) * sizes.chunk_size.div_ceil(TILE) * sizes.chunks() * sizes.cells()
    }

    /// Operations of a tile kernel: half the scores of each chunk, once for each tile of the width, and the state's part.
    fn units_flops(&self, depth: usize, width: usize, blocks: usize) -> f64 {
        let sizes = self.sizes;
        let positions = (sizes.cells() * sizes.sequence) as f64;
        let scores = (sizes.chunk_size + TILE) * (depth * width.div_ceil(TILE * blocks) + width);
        positions * (scores + 2 * sizes.state()) as f64
    }

    fn scale(&self, states: &Tensor) -> Result<()> {
        let sizes = self.sizes;
        let borders = (sizes.chunks() + 1) * sizes.cells();
        self.dispatch(&shaders::UNITS_SCALE, &[], 0, &[states], borders, (borders * sizes.state()) as f64)
    }

    /// The states at all borders, and their scales; `buffers` ends with them.
    pub(super) fn units_states(&self, flags: u32, buffers: &[&Tensor; 4]) -> Result<()> {
        let (side, tiles) = self.state_tiles();
        self.dispatch(&shaders::UNITS_STATES, &[("SIDE", side)], flags, buffers, tiles, self.state_flops())?;
        self.scale(buffers[3])
    }

    /// h and den.
    pub(super) fn units_output(&self, buffers: &[&Tensor; 7]) -> Result<()> {
        let (qk_dim, v_dim) = (self.sizes.qk_dim, self.sizes.v_dim);
        let blocks = blocks(v_dim, MOST);
        let constants = [self.output_variant()[0], ("BLOCKS", blocks as u32)];
        let flops = self.units_flops(qk_dim, v_dim, blocks);
        self.dispatch(&shaders::UNITS_OUTPUT, &constants, 0, buffers, self.units_workgroups(v_dim, blocks), flops)
    }
}

/// The gradients of query, key, value and input gate, and what the forget gate's is made of.
pub(super) fn backward(call: &Call, given: Given) -> Result<Made> {
    let Given { inputs: [query, key, value, input_gate], outputs: [d_h, h, den], gates, states, d_states, flags } =
        given;
    let sizes = call.sizes;
    let (qk_dim, v_dim, positions) = (sizes.qk_dim, sizes.v_dim, sizes.cells() * sizes.sequence);
    let rows = call.tensor(&[row_elements(sizes) as usize])?;
    let staged = call.element_tensor(&sizes.value())?;
    let (workgroups, flops) = (positions.div_ceil(DOTS), 3.0 * (positions * v_dim) as f64);
    let buffers = [d_h, h, den, gates, states, &rows, &staged];
    call.dispatch(&shaders::UNITS_ROWS, &call.output_variant(), 0, &buffers, workgroups, flops)?;
    let chunks = sizes.cells() * sizes.chunks();
    call.dispatch(&shaders::UNITS_CHUNKS, &[], 0, &[&rows], chunks, 2.0 * positions as f64)?;

    let (side, tiles) = call.state_tiles();
    let buffers = [query, &staged, gates, &rows, states, d_states];
    call.dispatch(&shaders::UNITS_D_STATES, &[("SIDE", side)], flags, &buffers, tiles, call.state_flops())?;
    call.scale(d_states)?;

    let (d_query, d_key) = (call.element_tensor(&sizes.query())?, call.element_tensor(&sizes.query())?);
    let d_value = call.element_tensor(&sizes.value())?;
    let (narrow, wide) = (blocks(qk_dim, MOST_TRANSPOSED), blocks(v_dim, MOST));
    let constants = [("BLOCKS", narrow as u32)];
    let (workgroups, flops) = (call.units_workgroups(qk_dim, narrow), call.units_flops(v_dim, qk_dim, narrow));
    let buffers = [&staged, value, key, query, states, &rows, &d_query];
    call.dispatch(&shaders::UNITS_D_QUERY, &constants, 0, &buffers, workgroups, flops)?;
    let buffers = [value, &staged, query, key, d_states, &rows, &d_key];
    call.dispatch(&shaders::UNITS_D_KEY, &constants, 0, &buffers, workgroups, flops)?;
    let constants = [("BLOCKS", wide as u32)];
    let (workgroups, flops) = (call.units_workgroups(v_dim, wide), call.units_flops(qk_dim, v_dim, wide));
    let buffers = [key, query, &staged, &rows, d_states, &d_value];
    call.dispatch(&shaders::UNITS_D_VALUE, &constants, 0, &buffers, workgroups, flops)?;

    let d_input_gate = call.tensor(&sizes.gate())?;
    let constants = [call.gate_variant()[0], ("DOT_WIDTH", (TILE * narrow) as u32)];
    let buffers = [input_gate, &rows, &d_input_gate];
    let workgroups = positions.div_ceil(LANES);
    call.dispatch(&shaders::UNITS_GATE_TERMS, &constants, 0, &buffers, workgroups, 10.0 * positions as f64)?;
    Ok(Made { rows, d_query, d_key, d_value, d_input_gate })
}
