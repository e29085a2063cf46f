// The state from the first chunk to the last on matrix units: C' = exp(g + m - m') C + r (exp(a - top) K)^T V with
// r = exp(top - m') and top the largest a of the chunk, n' likewise with 1 for V.

@group(0) @binding(1) var<storage, read> key: array<vec4<f16>>;
@group(0) @binding(2) var<storage, read> value: array<vec4<f16>>;
@group(0) @binding(3) var<storage, read> gates: array<f32>;
@group(0) @binding(4) var<storage, read_write> states: array<f32>;

const BACKWARD: bool = false;

var<private> stabilizer: f32;

fn begin(cell: u32, writes: bool) {
    stabilizer = 0.0;
    if (parameters.flags & STATE_GIVEN) != 0u {
        stabilizer = states[stabilizer_place(0u, cell)];
    } else if writes {
        states[stabilizer_place(0u, cell)] = 0.0;
    }
}

// The factor of the state, and that of the chunk's products; the stabiliser moves on to m'.
fn carry(cell: u32, chunk: u32, writes: bool) -> vec2<f32> {
    let place = chunk_place(cell, chunk);
    let kept = gates[place] + stabilizer;
    stabilizer = max(kept, gates[place + 1u]);
    if writes {
        states[stabilizer_place(chunk + 1u, cell)] = stabilizer;
    }
    return vec2<f32>(safe_exp(kept - stabilizer), safe_exp(gates[place + 2u] - stabilizer));
}

// Of the position in the outer products, and then in n.
fn weights_of(cell: u32, chunk: u32, t: u32) -> vec2<f32> {
    return vec2<f32>(safe_exp(gates[plane(TO_END, cell, t)] - gates[chunk_place(cell, chunk) + 2u]), 1.0);
}

fn left_quad(place: u32) -> vec4<f16> { return key[place]; }
fn right_quad(place: u32) -> vec4<f16> { return value[place]; }
