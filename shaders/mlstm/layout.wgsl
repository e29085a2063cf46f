// Sizes, and where things are, for all mLSTM kernels.
//
// A cell is one batch element and head: cell = b * heads + h. Inputs and outputs are [B, S, H, ...]. Intermediate results:
// gates   eight planes [cells, S], then for each chunk ([cells, chunks]) three numbers: the sum of ln f, the largest to_end
//         for the stabiliser, which is 0 with the sigmoid gate, and the largest to_end itself
// rows    seven planes [cells, S], of the backward only; more on matrix units, see mlstm/units_layout.wgsl
// states  C at the chunk borders [chunks + 1, cells, dqk, dv], then n [chunks + 1, cells, dqk], then m [chunks + 1, cells];
//         slot c is the state before chunk c, the last slot the final state. Their gradients are laid out the same.
//         Behind them there is room for a scale [chunks + 1, cells], which the matrix units need.

struct Parameters {
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
}

@group(0) @binding(0) var<uniform> parameters: Parameters;

// Flags: the first state that a recurrence starts from is given (else it is zero); a gradient of the final stabiliser, of
// the final state, is; resets are.
const STATE_GIVEN: u32 = 1u;
const STABILIZER_GRADIENT_GIVEN: u32 = 2u;
const FINAL_GRADIENT_GIVEN: u32 = 4u;
const RESET_GIVEN: u32 = 8u;

// ln of a forget gate below this: the state is forgotten, nothing passes.
const FORGOTTEN: f32 = -1e29;

// Planes of `gates`.
const LOG_FORGET: u32 = 0u;   // ln sigmoid(f), LOWEST where the state before is forgotten
const LOG_INPUT: u32 = 1u;    // ln of the input gate
const TILE_PREFIX: u32 = 2u;  // sum of ln f from the start of the position's tile of 32 up to it
const TILE_SUFFIX: u32 = 3u;  // sum of ln f behind the position to the end of its tile
const FROM_START: u32 = 4u;   // b: sum of ln f from the chunk's start up to the position
const TO_END: u32 = 5u;       // a: sum of ln f behind the position to the chunk's end, + ln of the input gate
const REACH: u32 = 6u;        // max over j <= t in the chunk of (sum of ln f over j < r <= t, + ln of input gate j)
const PEAK: u32 = 7u;         // that maximum itself: REACH is 0 with the sigmoid gate
const GATE_PLANES: u32 = 8u;

// Planes of `rows`.
const STABILIZER: u32 = 0u;   // m_t
const INVERSE: u32 = 1u;      // 1 / D_t
const ALONG: u32 = 2u;        // y_t = -(dH_t . h_t) / D_t sign(den_t), 0 where D_t is on its floor
const READ: u32 = 3u;         // s exp(b_t + m - m_t): how much of the state before the chunk is read
const WRITE: u32 = 4u;        // exp(a_t - m'): how much of the position is in the state after the chunk
const ORIGIN: u32 = 5u;       // 2 where the state before is forgotten, else 1 where m_t is the own input gate, else 0
const FORGET_TERM: u32 = 6u;  // q_t . dq_t - k_t . dk_t
const FORGET_SIZE: u32 = 3u;  // the sum of the absolute values of its products, where READ was when nothing reads it any more

const TILE: u32 = 32u;        // positions a tile of TILE_PREFIX and TILE_SUFFIX

fn plane(index: u32, cell: u32, t: u32) -> u32 {
    return (index * parameters.cells + cell) * parameters.sequence + t;
}

fn chunk_place(cell: u32, chunk: u32) -> u32 {
    return GATE_PLANES * parameters.cells * parameters.sequence + (cell * parameters.chunks + chunk) * 3u;
}

// The first element of a position's row in [B, S, H, width].
fn row_start(cell: u32, t: u32, width: u32) -> u32 {
    let batch = cell / parameters.heads;
    let head = cell % parameters.heads;
    return ((batch * parameters.sequence + t) * parameters.heads + head) * width;
}

fn memory_start(slot: u32, cell: u32) -> u32 {
    return (slot * parameters.cells + cell) * parameters.qk_dim * parameters.v_dim;
}

fn normalizer_start(slot: u32, cell: u32) -> u32 {
    let memories = (parameters.chunks + 1u) * parameters.cells * parameters.qk_dim * parameters.v_dim;
    return memories + (slot * parameters.cells + cell) * parameters.qk_dim;
}

fn stabilizer_place(slot: u32, cell: u32) -> u32 {
    let slots = (parameters.chunks + 1u) * parameters.cells;
    return slots * (parameters.qk_dim * parameters.v_dim + parameters.qk_dim) + slot * parameters.cells + cell;
}

// Positions of a chunk: fewer than chunk_size in the last.
fn chunk_rows(chunk: u32) -> u32 {
    return min(parameters.chunk_size, parameters.sequence - chunk * parameters.chunk_size);
}
