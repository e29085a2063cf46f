// dV = S^T X + exp(a - m') K dC' with S = s Q K^T decay, on matrix units.
// Rows: keys. Columns: queries from the row on. First product: K Q^T. Second: S^T X. State: dC after the chunk.

@group(0) @binding(1) var<storage, read> key: array<vec4<f16>>;
@group(0) @binding(2) var<storage, read> query: array<vec4<f16>>;
@group(0) @binding(3) var<storage, read> staged: array<vec4<f16>>;
@group(0) @binding(4) var<storage, read> rows: array<f32>;
@group(0) @binding(5) var<storage, read> states: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> d_value: array<vec4<f16>>;

const STATE_TRANSPOSED: bool = false;
const HAS_DEN: bool = false;
const HAS_DOTS: bool = false;

fn depth_size() -> u32 { return parameters.qk_dim; }
fn width_size() -> u32 { return parameters.v_dim; }

fn row_quad(place: u32) -> vec4<f16> { return key[place]; }
fn column_quad(place: u32) -> vec4<f16> { return query[place]; }
fn summed_quad(place: u32) -> vec4<f16> { return staged[place]; }
fn gate(index: u32, cell: u32, t: u32) -> f32 { return rows[plane(ROW_GATES + index, cell, t)]; }
fn column_along(cell: u32, t: u32) -> f32 { return 0.0; }

fn dot_quad(place: u32) -> vec4<f32> { return vec4<f32>(0.0); }
fn write_dot(tile: u32, cell: u32, t: u32, sums: vec2<f32>) {}

fn write(place: u32, four: vec4<f32>) {
    d_value[place] = vec4<f16>(four);
}
