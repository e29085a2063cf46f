// dQ = dS K + s exp(b + m - m_t) (X C^T + y n^T) with dS = s decay (X V^T + y 1^T), on matrix units; and q . dq.
// Rows: queries. Columns: keys up to the row. First product: X V^T. Second: dS K. State: C^T before the chunk.

@group(0) @binding(1) var<storage, read> staged: array<vec4<f16>>;
@group(0) @binding(2) var<storage, read> value: array<vec4<f16>>;
@group(0) @binding(3) var<storage, read> key: array<vec4<f16>>;
@group(0) @binding(4) var<storage, read> query: array<vec4<f16>>;
@group(0) @binding(5) var<storage, read> states: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> rows: array<f32>;
@group(0) @binding(7) var<storage, read_write> d_query: array<vec4<f16>>;

const STATE_TRANSPOSED: bool = true;
const HAS_DEN: bool = false;
const HAS_DOTS: bool = true;

fn depth_size() -> u32 { return parameters.v_dim; }
fn width_size() -> u32 { return parameters.qk_dim; }

fn row_quad(place: u32) -> vec4<f16> { return staged[place]; }
fn column_quad(place: u32) -> vec4<f16> { return value[place]; }
fn summed_quad(place: u32) -> vec4<f16> { return key[place]; }
fn gate(index: u32, cell: u32, t: u32) -> f32 { return rows[plane(ROW_GATES + index, cell, t)]; }

fn dot_quad(place: u32) -> vec4<f32> { return vec4<f32>(query[place]); }
fn write_dot(tile: u32, cell: u32, t: u32, sums: vec2<f32>) {
    rows[dot_place(tile, 0u, cell, t)] = sums.x;
    rows[dot_place(tile, 1u, cell, t)] = sums.y;
}

fn write(place: u32, four: vec4<f32>) {
    d_query[place] = vec4<f16>(four);
}
