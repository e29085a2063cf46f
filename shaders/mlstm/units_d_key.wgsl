// dK = dS^T Q + exp(a - m') (V dC'^T + 1 dn'^T) with dS = s decay (X V^T + y 1^T), on matrix units; and k . dk.
// Rows: keys. Columns: queries from the row on. First product: V X^T. Second: dS^T Q. State: dC^T after the chunk.

@group(0) @binding(1) var<storage, read> value: array<vec4<f16>>;
@group(0) @binding(2) var<storage, read> staged: array<vec4<f16>>;
@group(0) @binding(3) var<storage, read> query: array<vec4<f16>>;
@group(0) @binding(4) var<storage, read> key: array<vec4<f16>>;
@group(0) @binding(5) var<storage, read> states: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> rows: array<f32>;
@group(0) @binding(7) var<storage, read_write> d_key: array<vec4<f16>>;

const STATE_TRANSPOSED: bool = true;
const HAS_DEN: bool = false;
const HAS_DOTS: bool = true;

fn depth_size() -> u32 { return parameters.v_dim; }
fn width_size() -> u32 { return parameters.qk_dim; }

fn row_quad(place: u32) -> vec4<f16> { return value[place]; }
fn column_quad(place: u32) -> vec4<f16> { return staged[place]; }
fn summed_quad(place: u32) -> vec4<f16> { return query[place]; }
fn gate(index: u32, cell: u32, t: u32) -> f32 { return rows[plane(ROW_GATES + index, cell, t)]; }
fn column_along(cell: u32, t: u32) -> f32 { return rows[plane(ALONG_STAGED, cell, t)]; }

fn dot_quad(place: u32) -> vec4<f32> { return vec4<f32>(key[place]); }
fn write_dot(tile: u32, cell: u32, t: u32, sums: vec2<f32>) {
    rows[dot_place(tile, 2u, cell, t)] = sums.x;
    rows[dot_place(tile, 3u, cell, t)] = sums.y;
}

fn write(place: u32, four: vec4<f32>) {
    d_key[place] = vec4<f16>(four);
}
