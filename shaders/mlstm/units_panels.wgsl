// The panels in workgroup memory from which the matrix units are fed: how large they are, and what is staged in them.
//
// What lies outside the chunk or the tensors is staged as zero. Rows are 8 halves longer than needed, so that they fall into
// different banks. Invocations that are neighbours read neighbours in memory.

const LANES: u32 = 128u;
const ROWS: u32 = 64u;
const COLUMNS: u32 = 32u;
const WIDTH: u32 = 64u * BLOCKS;
const QUADS: u32 = WIDTH / 4u;
const WIDE_PITCH: u32 = QUADS + 2u;   // vectors from one row of E, or of G, to the next
const NARROW_PITCH: u32 = 10u;        // of 32 halves
const DEEP_PITCH: u32 = 18u;          // of 64 halves
const DEEP_VECTORS: u32 = (ROWS + COLUMNS) * DEEP_PITCH;
const WIDE_VECTORS: u32 = select(DEEP_VECTORS, COLUMNS * WIDE_PITCH, COLUMNS * WIDE_PITCH > DEEP_VECTORS);
var<workgroup> wide: array<vec4<f16>, WIDE_VECTORS>;  // E, or G, or A above B

// One number of the states.
fn state_number(place: u32) -> f32 {
    return states[place / 4u][place % 4u];
}

fn state_matrix(k: u32, column: u32) -> Right {
    if STATE_TRANSPOSED {
        let at = column * NARROW_PITCH + k / 4u;
        return coopLoad<Right>(&wide[at], NARROW_PITCH);
    }
    let at = k * WIDE_PITCH + column / 4u;
    return coopLoadT<Right>(&wide[at], WIDE_PITCH);
}

fn stage_state(lane: u32, cell: u32, chunk: u32, depth: u32, first_width: u32, inverse: f32) {
    let memory = memory_start(state_slot(chunk), cell);
    for (var part = 0u; part < WIDTH / 16u; part++) {
        let index = lane + part * LANES;
        var loaded = vec4<f16>();
        if STATE_TRANSPOSED {
            let a = first_width + index / 8u;
            let v = depth + index % 8u * 4u;
            if a < width_size() && v < depth_size() {
                loaded = vec4<f16>(states[(memory + a * parameters.v_dim + v) / 4u] * inverse);
            }
            wide[index / 8u * NARROW_PITCH + index % 8u] = loaded;
        } else {
            let a = depth + index / QUADS;
            let v = first_width + index % QUADS * 4u;
            if a < depth_size() && v < width_size() {
                loaded = vec4<f16>(states[(memory + a * parameters.v_dim + v) / 4u] * inverse);
            }
            wide[index / QUADS * WIDE_PITCH + index % QUADS] = loaded;
        }
    }
}

// Panels of A and, below it, of B.
fn stage_operands(lane: u32, cell: u32, first: u32, count: u32, first_row: u32, tile: u32, depth: u32) {
    let column = depth + lane % 16u * 4u;
    for (var part = 0u; part < 8u; part++) {
        let at = part * 8u + lane / 16u;
        var loaded = vec4<f16>();
        if first_row + at < count && column < depth_size() {
            loaded = row_quad((row_start(cell, first + first_row + at, depth_size()) + column) / 4u);
        }
        wide[at * DEEP_PITCH + lane % 16u] = loaded;
    }
    for (var part = 0u; part < 4u; part++) {
        let at = part * 8u + lane / 16u;
        var loaded = vec4<f16>();
        if tile + at < count && column < depth_size() {
            loaded = column_quad((row_start(cell, first + tile + at, depth_size()) + column) / 4u);
        }
        wide[(ROWS + at) * DEEP_PITCH + lane % 16u] = loaded;
    }
}

fn stage_summed(lane: u32, cell: u32, first: u32, count: u32, tile: u32, first_width: u32) {
    for (var part = 0u; part < WIDTH / 16u; part++) {
        let index = lane + part * LANES;
        let at = tile + index / QUADS;
        let column = first_width + index % QUADS * 4u;
        var loaded = vec4<f16>();
        if at < count && column < width_size() {
            loaded = summed_quad((row_start(cell, first + at, width_size()) + column) / 4u);
        }
        wide[index / QUADS * WIDE_PITCH + index % QUADS] = loaded;
    }
}
