// The state's gradient from the last chunk to the first on matrix units: dC = exp(g + m - m') dC' + r (pull spread / r Q)^T X
// with r the largest pull * spread of the chunk; dn likewise with y for X.

@group(0) @binding(1) var<storage, read> query: array<vec4<f16>>;
@group(0) @binding(2) var<storage, read> staged: array<vec4<f16>>;
@group(0) @binding(3) var<storage, read> gates: array<f32>;
@group(0) @binding(4) var<storage, read> rows: array<f32>;
@group(0) @binding(5) var<storage, read> borders: array<f32>;
@group(0) @binding(6) var<storage, read_write> states: array<f32>;

const BACKWARD: bool = true;

fn begin(cell: u32, writes: bool) {}

// The factor of the state's gradient, and that of the chunk's products.
fn carry(cell: u32, chunk: u32, writes: bool) -> vec2<f32> {
    let before = borders[stabilizer_place(chunk, cell)];
    let after = borders[stabilizer_place(chunk + 1u, cell)];
    return vec2<f32>(safe_exp(gates[chunk_place(cell, chunk)] + before - after), rows[row_chunk_place(cell, chunk) + 1u]);
}

// Of the position in the outer products, and then in n.
fn weights_of(cell: u32, chunk: u32, t: u32) -> vec2<f32> {
    let weight = rows[plane(PULL, cell, t)] * rows[plane(SPREAD, cell, t)] / rows[row_chunk_place(cell, chunk) + 1u];
    return vec2<f32>(weight, rows[plane(ALONG_STAGED, cell, t)]);
}

fn left_quad(place: u32) -> vec4<f16> { return query[place]; }
fn right_quad(place: u32) -> vec4<f16> { return staged[place]; }
