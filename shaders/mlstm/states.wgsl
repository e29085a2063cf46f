// The states at all chunk borders, one chunk after the other, or their gradients in the other direction:
// state' = carry * state + (row_weight * left)^T (column_weight * right), and n beside it with normalizer_weight for right.
//
// left: [B, S, H, dqk], right: [B, S, H, dv]; states: see mlstm/layout.wgsl. The part before this file says what they are.
// One workgroup computes one tile of 32 x 32 of a cell's state through all chunks, 2 x 2 elements an invocation, in
// registers. The workgroups of the first column of tiles carry n as well, one element each of the first 32 invocations.
// Weights are at most s: nothing overflows.
// Barriers: the weights of a chunk are complete before panels are loaded with them; a panel before it is multiplied; and
// all have multiplied before the next panel or the next chunk's weights overwrite them.

const SIDE: u32 = 32u;
const DEPTH: u32 = 32u;

var<workgroup> left_panel: array<f32, 1024>;   // [position][row of the state]
var<workgroup> right_panel: array<f32, 1024>;  // [position][column of the state]
var<workgroup> row_weights: array<f32, 256>;
var<workgroup> column_weights: array<f32, 256>;
var<workgroup> normalizer_weights: array<f32, 256>;

@compute @workgroup_size(256)
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
    let row = lane / 16u * 2u;
    let column = lane % 16u * 2u;
    let first_slot = select(0u, parameters.chunks, BACKWARD);
    let given = (parameters.flags & STATE_GIVEN) != 0u;
    let writes_stabilizer = first_row == 0u && first_column == 0u && lane == 0u;
    let has_normalizer = first_column == 0u && lane < SIDE && first_row + lane < parameters.qk_dim;

    var state: array<f32, 4>;
    var normalizer = 0.0;
    for (var at = 0u; at < 4u; at++) {
        let a = first_row + row + at / 2u;
        let v = first_column + column + at % 2u;
        state[at] = 0.0;
        if given && a < parameters.qk_dim && v < parameters.v_dim {
            state[at] = states[memory_start(first_slot, cell) + a * parameters.v_dim + v];
        }
    }
    if given && has_normalizer {
        normalizer = states[normalizer_start(first_slot, cell) + first_row + lane];
    }
    begin(cell, writes_stabilizer);

    for (var step = 0u; step <= parameters.chunks; step++) {
        let slot = select(step, parameters.chunks - step, BACKWARD);
        for (var at = 0u; at < 4u; at++) {
            let a = first_row + row + at / 2u;
            let v = first_column + column + at % 2u;
            if a < parameters.qk_dim && v < parameters.v_dim {
                states[memory_start(slot, cell) + a * parameters.v_dim + v] = state[at];
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
        if lane < count {
            row_weights[lane] = row_weight(cell, first + lane);
            column_weights[lane] = column_weight(cell, first + lane);
            normalizer_weights[lane] = normalizer_weight(cell, first + lane);
        }
        for (var at = 0u; at < 4u; at++) {
            state[at] *= factor;
        }
        normalizer *= factor;
        workgroupBarrier();
        for (var panel = 0u; panel < count; panel += DEPTH) {
            for (var part = 0u; part < 4u; part++) {
                let t = panel + part * 8u + lane / SIDE;
                let at = lane % SIDE;
                var l = 0.0;
                var r = 0.0;
                if t < count {
                    if first_row + at < parameters.qk_dim {
                        l = row_weights[t] * left(row_start(cell, first + t, parameters.qk_dim) + first_row + at);
                    }
                    if first_column + at < parameters.v_dim {
                        r = column_weights[t] * right(row_start(cell, first + t, parameters.v_dim) + first_column + at);
                    }
                }
                left_panel[(t - panel) * SIDE + at] = l;
                right_panel[(t - panel) * SIDE + at] = r;
            }
            workgroupBarrier();
            for (var t = 0u; t < DEPTH; t++) {
                let l0 = left_panel[t * SIDE + row];
                let l1 = left_panel[t * SIDE + row + 1u];
                let r0 = right_panel[t * SIDE + column];
                let r1 = right_panel[t * SIDE + column + 1u];
                state[0] += l0 * r0;
                state[1] += l0 * r1;
                state[2] += l1 * r0;
                state[3] += l1 * r1;
            }
            if has_normalizer {
                for (var t = 0u; t < min(DEPTH, count - panel); t++) {
                    normalizer += left_panel[t * SIDE + lane] * normalizer_weights[panel + t];
                }
            }
            workgroupBarrier();
        }
    }
}
