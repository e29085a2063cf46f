// The states at all chunk borders, one chunk after the other, or their gradients in the other direction:
// state' = carry * state + (row_weight * left)^T (column_weight * right), and n beside it with normalizer_weight for right.
//
// left: [B, S, H, dqk], right: [B, S, H, dv]; states: see mlstm/layout.wgsl. The part before this file says what they are.
// One workgroup computes one tile of SIDE x SIDE of a cell's state through all chunks, 4 x 4 elements an invocation, in
// registers; SIDE is 64, or 32 where there would be too few tiles to fill a card. The workgroups of the first column of tiles
// carry n as well, one element each of the first SIDE invocations.
// Weights are at most s: nothing overflows.
// 16 positions make a panel. While one is multiplied the next is on its way into registers, also over a chunk's end; loads have
// no conditions, which would be waited for: what does not exist is read from the last place that does, and put away as 0.
// Barriers: the weights of a chunk are complete before panels are put away with them; a panel before it is multiplied; and
// all have multiplied before the next panel or the next chunk's weights overwrite them.

const DEPTH: u32 = 16u;
const QUADS: u32 = SIDE / 4u;
const LANES: u32 = QUADS * QUADS;
const LOADS: u32 = DEPTH * SIDE / LANES;

var<workgroup> left_panel: array<vec4<f32>, DEPTH * QUADS>;   // [position][row of the state]
var<workgroup> right_panel: array<vec4<f32>, DEPTH * QUADS>;  // [position][column of the state]
var<workgroup> row_weights: array<f32, 256>;
var<workgroup> column_weights: array<f32, 256>;
var<workgroup> normalizer_weights: array<f32, 256>;

// The position in the panel of an invocation's element number `at`.
fn position_of(lane: u32, at: u32) -> u32 {
    return at * (LANES / SIDE) + lane / SIDE;
}

@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let across = (parameters.v_dim + SIDE - 1u) / SIDE;
    let down = (parameters.qk_dim + SIDE - 1u) / SIDE;
    let flat = flat_workgroup(group, groups);
    let cell = flat / (across * down);
    if cell >= parameters.cells {
        return;
    }
    let first_row = flat / across % down * SIDE;
    let first_column = flat % across * SIDE;
    let row = lane / QUADS * 4u;
    let column = lane % QUADS * 4u;
    let first_slot = select(0u, parameters.chunks, BACKWARD);
    let given = (parameters.flags & STATE_GIVEN) != 0u;
    let writes_stabilizer = first_row == 0u && first_column == 0u && lane == 0u;
    let has_normalizer = first_column == 0u && lane < SIDE && first_row + lane < parameters.qk_dim;
    // This invocation's column of the panels, inside the tensors.
    let mine = lane % SIDE;
    let left_column = min(first_row + mine, parameters.qk_dim - 1u);
    let right_column = min(first_column + mine, parameters.v_dim - 1u);

    var state: array<vec4<f32>, 4>;
    var normalizer = 0.0;
    for (var i = 0u; i < 4u; i++) {  // unrolled
        state[i] = vec4<f32>(0.0);
        for (var j = 0u; j < 4u; j++) {  // unrolled
            let a = first_row + row + i;
            let v = first_column + column + j;
            if given && a < parameters.qk_dim && v < parameters.v_dim {
                state[i][j] = states[memory_start(first_slot, cell) + a * parameters.v_dim + v];
            }
        }
    }
    if given && has_normalizer {
        normalizer = states[normalizer_start(first_slot, cell) + first_row + lane];
    }
    begin(cell, writes_stabilizer);

    var fetched = select(0u, (parameters.chunks - 1u) * parameters.chunk_size, BACKWARD);  // the panel that is fetched
    var end = fetched + chunk_rows(fetched / parameters.chunk_size);
    var next_left: array<f32, LOADS>;
    var next_right: array<f32, LOADS>;
    for (var at = 0u; at < LOADS; at++) {  // unrolled
        let t = min(fetched + position_of(lane, at), end - 1u);
        next_left[at] = left(row_start(cell, t, parameters.qk_dim) + left_column);
        next_right[at] = right(row_start(cell, t, parameters.v_dim) + right_column);
    }

    for (var step = 0u; step <= parameters.chunks; step++) {
        let slot = select(step, parameters.chunks - step, BACKWARD);
        for (var i = 0u; i < 4u; i++) {  // unrolled
            for (var j = 0u; j < 4u; j++) {  // unrolled
                let a = first_row + row + i;
                let v = first_column + column + j;
                if a < parameters.qk_dim && v < parameters.v_dim {
                    states[memory_start(slot, cell) + a * parameters.v_dim + v] = state[i][j];
                }
            }
        }
        if has_normalizer {
            states[normalizer_start(slot, cell) + first_row + lane] = normalizer;
        }
        if step == parameters.chunks {
            break;
        }
        let chunk = select(step, parameters.chunks - 1u - step, BACKWARD);
        let count = chunk_rows(chunk);
        let first = chunk * parameters.chunk_size;
        let factor = carry(cell, chunk, writes_stabilizer);
        for (var part = 0u; part < 256u / LANES; part++) {  // unrolled
            let at = lane + part * LANES;
            let t = first + min(at, count - 1u);
            row_weights[at] = row_weight(cell, t);
            column_weights[at] = column_weight(cell, t);
            normalizer_weights[at] = normalizer_weight(cell, t);
        }
        for (var i = 0u; i < 4u; i++) {  // unrolled
            state[i] *= factor;
        }
        normalizer *= factor;
        workgroupBarrier();
        for (var panel = 0u; panel < count; panel += DEPTH) {
            for (var at = 0u; at < LOADS; at++) {  // unrolled
                let position = position_of(lane, at);
                let exists = panel + position < count;
                let t = min(panel + position, count - 1u);
                let l = select(0.0, row_weights[t] * next_left[at], exists);
                let r = select(0.0, column_weights[t] * next_right[at], exists);
                left_panel[position * QUADS + mine / 4u][mine % 4u] = l;
                right_panel[position * QUADS + mine / 4u][mine % 4u] = r;
            }
            workgroupBarrier();
            fetched += DEPTH;
            if fetched >= end && step + 1u < parameters.chunks {
                fetched = select(chunk + 1u, chunk - 1u, BACKWARD) * parameters.chunk_size;
                end = fetched + chunk_rows(fetched / parameters.chunk_size);
            }
            for (var at = 0u; at < LOADS; at++) {  // unrolled
                let t = min(fetched + position_of(lane, at), end - 1u);
                next_left[at] = left(row_start(cell, t, parameters.qk_dim) + left_column);
                next_right[at] = right(row_start(cell, t, parameters.v_dim) + right_column);
            }
            for (var t = 0u; t < DEPTH; t++) {  // unrolled
                let l = left_panel[t * QUADS + row / 4u];
                let r = right_panel[t * QUADS + column / 4u];
                state[0] += l.x * r;
                state[1] += l.y * r;
                state[2] += l.z * r;
                state[3] += l.w * r;
            }
            if has_normalizer {
                for (var t = 0u; t < min(DEPTH, count - panel); t++) {
                    normalizer += left_panel[t * QUADS + lane / 4u][lane % 4u] * normalizer_weights[panel + t];
                }
            }
            workgroupBarrier();
        }
    }
}
