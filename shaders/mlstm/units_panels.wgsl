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

// Loads have no conditions: what does not exist is read from the last place that does, and put away as 0. A load with a
// condition of its own is waited for before the next one starts.

fn stage_state(lane: u32, cell: u32, chunk: u32, depth: u32, first_width: u32, inverse: f32) {
    let memory = memory_start(state_slot(chunk), cell) / 4u;
    let row_pitch = parameters.v_dim / 4u;
    for (var part = 0u; part < WIDTH / 16u; part++) {  // unrolled
        let index = lane + part * LANES;
        if STATE_TRANSPOSED {
            let a = first_width + index / 8u;
            let v = depth / 4u + index % 8u;
            let exists = (a < width_size()) & (v < depth_size() / 4u);
            let loaded = states[memory + min(a, width_size() - 1u) * row_pitch + min(v, depth_size() / 4u - 1u)];
            wide[index / 8u * NARROW_PITCH + index % 8u] = select(vec4<f16>(), vec4<f16>(loaded * inverse), exists);
        } else {
            let a = depth + index / QUADS;
            let v = first_width / 4u + index % QUADS;
            let exists = (a < depth_size()) & (v < width_size() / 4u);
            let loaded = states[memory + min(a, depth_size() - 1u) * row_pitch + min(v, width_size() / 4u - 1u)];
            wide[index / QUADS * WIDE_PITCH + index % QUADS] = select(vec4<f16>(), vec4<f16>(loaded * inverse), exists);
        }
    }
}

// Panels of A and, below it, of B.
fn stage_operands(lane: u32, cell: u32, first: u32, count: u32, first_row: u32, tile: u32, depth: u32) {
    let column = depth / 4u + lane % 16u;
    let inside = column < depth_size() / 4u;
    let place = min(column, depth_size() / 4u - 1u);
    for (var part = 0u; part < 8u; part++) {  // unrolled
        let at = part * 8u + lane / 16u;
        let t = first + min(first_row + at, count - 1u);
        let loaded = row_quad(row_start(cell, t, depth_size()) / 4u + place);
        wide[at * DEEP_PITCH + lane % 16u] = select(vec4<f16>(), loaded, inside & (first_row + at < count));
    }
    for (var part = 0u; part < 4u; part++) {  // unrolled
        let at = part * 8u + lane / 16u;
        let t = first + min(tile + at, count - 1u);
        let loaded = column_quad(row_start(cell, t, depth_size()) / 4u + place);
        wide[(ROWS + at) * DEEP_PITCH + lane % 16u] = select(vec4<f16>(), loaded, inside & (tile + at < count));
    }
}

fn stage_summed(lane: u32, cell: u32, first: u32, count: u32, tile: u32, first_width: u32) {
    for (var part = 0u; part < WIDTH / 16u; part++) {  // unrolled
        let index = lane + part * LANES;
        let at = tile + index / QUADS;
        let column = first_width / 4u + index % QUADS;
        let exists = (at < count) & (column < width_size() / 4u);
        let t = first + min(at, count - 1u);
        let loaded = summed_quad(row_start(cell, t, width_size()) / 4u + min(column, width_size() / 4u - 1u));
        wide[index / QUADS * WIDE_PITCH + index % QUADS] = select(vec4<f16>(), loaded, exists);
    }
}
