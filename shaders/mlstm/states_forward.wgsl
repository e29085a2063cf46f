// The state from the first chunk to the last: C' = exp(g + m - m') C + (exp(a - m') K)^T V, n' likewise with 1 for V.

@group(0) @binding(1) var<storage, read> key: array<Element>;
@group(0) @binding(2) var<storage, read> value: array<Element>;
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

// The factor of the state; the stabiliser moves on to m'.
fn carry(cell: u32, chunk: u32, writes: bool) -> f32 {
    let kept = gates[chunk_place(cell, chunk)] + stabilizer;
    stabilizer = max(kept, gates[chunk_place(cell, chunk) + 1u]);
    if writes {
        states[stabilizer_place(chunk + 1u, cell)] = stabilizer;
    }
    return safe_exp(kept - stabilizer);
}

fn row_weight(cell: u32, t: u32) -> f32 {
    return safe_exp(gates[plane(TO_END, cell, t)] - stabilizer);
}

fn column_weight(cell: u32, t: u32) -> f32 {
    return 1.0;
}

fn normalizer_weight(cell: u32, t: u32) -> f32 {
    return 1.0;
}

fn left(place: u32) -> f32 {
    return f32(key[place]);
}

fn right(place: u32) -> f32 {
    return f32(value[place]);
}
