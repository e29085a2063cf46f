// dQ = dS K + s exp(b + m - m_t) (X C^T + y n^T) with dS = s decay (X V^T + y 1^T), X = dH / D.
// Rows: queries. Columns: keys up to the row. First product: X V^T. Second: dS K. State: C^T before the chunk.

@group(0) @binding(1) var<storage, read> d_h: array<f32>;
@group(0) @binding(2) var<storage, read> value: array<Element>;
@group(0) @binding(3) var<storage, read> key: array<Element>;
@group(0) @binding(4) var<storage, read> gates: array<f32>;
@group(0) @binding(5) var<storage, read> rows: array<f32>;
@group(0) @binding(6) var<storage, read> states: array<f32>;
@group(0) @binding(7) var<storage, read_write> d_query: array<f32>;

const ROWS_ARE_QUERIES: bool = true;
const STATE_TRANSPOSED: bool = true;
const HAS_DEN: bool = false;

fn depth_size() -> u32 { return parameters.v_dim; }
fn width_size() -> u32 { return parameters.qk_dim; }
fn state_slot(chunk: u32) -> u32 { return chunk; }

fn row_operand(place: u32, cell: u32, t: u32) -> f32 { return d_h[place] * rows[plane(INVERSE, cell, t)]; }
fn column_operand(place: u32, cell: u32, t: u32) -> f32 { return f32(value[place]); }
fn summed_operand(place: u32, cell: u32, t: u32) -> f32 { return f32(key[place]); }

fn stabilizer(cell: u32, chunk: u32, t: u32) -> f32 { return rows[plane(STABILIZER, cell, t)]; }
fn score_term(cell: u32, t: u32) -> f32 { return rows[plane(ALONG, cell, t)]; }
fn row_weight(cell: u32, chunk: u32, t: u32) -> f32 { return rows[plane(READ, cell, t)]; }
fn extra_row(cell: u32, t: u32) -> f32 { return rows[plane(ALONG, cell, t)]; }

fn divisor_of(row_sum: f32, level: f32) -> f32 { return 1.0; }

fn write(cell: u32, t: u32, column: u32, result: f32, row_sum: f32) {
    d_query[row_start(cell, t, parameters.qk_dim) + column] = result;
}
