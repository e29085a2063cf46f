// What the kernels on matrix units need besides, so that operands rounded to f16 stay far from the ends of its range.
//
// Scales are powers of two, which change no digit, from 2^-100 to 2^100.
// - A state C is read as C / c with c at least its largest element; so is its gradient.
// - Scores are taken relative to exp(level_t), level_t = max(peak_t, m_t - 40): peak_t is the largest exponent in the row, so
//   that the largest weight is 1 even where the state before outweighs the chunk (m_t is far above peak_t, as at the start of
//   a sequence whose input gates are nearly closed). Below m_t - 40 nothing reaches f32.
// - dH_t is read as X_t = dH_t exp(level_t - m_t) / D_t / spread_t in f16, with spread_t at least the largest of the row. The
//   same numbers are operands of all kernels, and the scores' gradients are rounded alike in d_query and d_key, so that
//   q . dq - k . dk cancels where it should.

const LEVEL: u32 = 7u;         // level_t
const SPREAD: u32 = 8u;        // spread_t
const PULL: u32 = 9u;          // s exp(b_t + m - level_t): how much of the state before the chunk is read, at most s e^40
const ALONG_STAGED: u32 = 10u; // y_t on the scale of X_t
const ROW_GATES: u32 = 11u;    // LOG_FORGET, LOG_INPUT, TILE_PREFIX, TILE_SUFFIX again
const ROW_PLANES: u32 = 15u;
const DEEPEST: f32 = 40.0;

// For each chunk, behind the planes of `rows`: the largest spread, and the largest pull * spread.
fn row_chunk_place(cell: u32, chunk: u32) -> u32 {
    return ROW_PLANES * parameters.cells * parameters.sequence + (cell * parameters.chunks + chunk) * 2u;
}

// Behind these, for each tile of columns of a gradient: sum and size of q . dq (index 0 and 1) and of k . dk (2 and 3).
fn dot_place(tile: u32, index: u32, cell: u32, t: u32) -> u32 {
    let start = (ROW_PLANES * parameters.sequence + 2u * parameters.chunks) * parameters.cells;
    return start + ((tile * 4u + index) * parameters.cells + cell) * parameters.sequence + t;
}

fn scale_place(slot: u32, cell: u32) -> u32 {
    let slots = (parameters.chunks + 1u) * parameters.cells;
    let behind = parameters.qk_dim * parameters.v_dim + parameters.qk_dim + 1u;
    return slots * behind + slot * parameters.cells + cell;
}

// The smallest power of two that is x or more, for x from 2^-100 to 2^100.
fn power_above(x: f32) -> f32 {
    return bitcast<f32>((bitcast<u32>(clamp(x, 0x1p-100, 0x1p100)) + 0x7fffffu) & 0x7f800000u);
}
