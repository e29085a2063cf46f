// dK = dS^T Q + exp(a - m') (V dC'^T + 1 dn'^T) with dS = s decay (X V^T + y 1^T), X = dH / D.
// Rows: keys. Columns: queries from the row on. First product: V X^T. Second: dS^T Q. State: dC^T after the chunk.

@group(0) @binding(1) var<storage, read> value: array<Element>;
@group(0) @binding(2) var<storage, read> d_h: array<f32>;
@group(0) @binding(3) var<storage, read> query: array<Element>;
@group(0) @binding(4) var<storage, read> gates: array<f32>;
@group(0) @binding(5) var<storage, read> rows: array<f32>;
@group(0) @binding(6) var<storage, read> states: array<f32>;
@group(0) @binding(7) var<storage, read_write> d_key: array<f32>;

const ROWS_ARE_QUERIES: bool = false;
const STATE_TRANSPOSED: bool = true;
const HAS_DEN: bool = false;

fn depth_size() -> u32 { return parameters.v_dim; }
fn width_size() -> u32 { return parameters.qk_dim; }
fn state_slot(chunk: u32) -> u32 { return chunk + 1u; }

fn row_operand(place: u32, cell: u32, t: u32) -> f32 { return f32(value[place]); }
fn column_operand(place: u32, cell: u32, t: u32) -> f32 { return d_h[place] * rows[plane(INVERSE, cell, t)]; }
fn summed_operand(place: u32, cell: u32, t: u32) -> f32 { return f32(query[place]); }

fn stabilizer(cell: u32, chunk: u32, t: u32) -> f32 { return rows[plane(STABILIZER, cell, t)]; }
fn score_term(cell: u32, t: u32) -> f32 { return rows[plane(ALONG, cell, t)]; }
fn row_weight(cell: u32, chunk: u32, t: u32) -> f32 { return rows[plane(WRITE, cell, t)]; }
fn extra_row(cell: u32, t: u32) -> f32 { return 1.0; }

fn divisor_of(row_sum: f32, level: f32) -> f32 { return 1.0; }

fn write(cell: u32, t: u32, column: u32, result: f32, row_sum: f32) {
    d_key[row_start(cell, t, parameters.qk_dim) + column] = result;
}
