// dV = S^T X + exp(a - m') K dC' with S = s Q K^T decay, X = dH / D.
// Rows: keys. Columns: queries from the row on. First product: K Q^T. Second: S^T X. State: dC after the chunk.

@group(0) @binding(1) var<storage, read> key: array<Element>;
@group(0) @binding(2) var<storage, read> query: array<Element>;
@group(0) @binding(3) var<storage, read> d_h: array<f32>;
@group(0) @binding(4) var<storage, read> gates: array<f32>;
@group(0) @binding(5) var<storage, read> rows: array<f32>;
@group(0) @binding(6) var<storage, read> states: array<f32>;
@group(0) @binding(7) var<storage, read_write> d_value: array<Element>;

const ROWS_ARE_QUERIES: bool = false;
const STATE_TRANSPOSED: bool = false;
const HAS_DEN: bool = false;

fn depth_size() -> u32 { return parameters.qk_dim; }
fn width_size() -> u32 { return parameters.v_dim; }
fn state_slot(chunk: u32) -> u32 { return chunk + 1u; }

fn row_operand(place: u32, cell: u32, t: u32) -> f32 { return f32(key[place]); }
fn column_operand(place: u32, cell: u32, t: u32) -> f32 { return f32(query[place]); }
fn summed_operand(place: u32, cell: u32, t: u32) -> f32 { return d_h[place] * rows[plane(INVERSE, cell, t)]; }

fn stabilizer(cell: u32, chunk: u32, t: u32) -> f32 { return rows[plane(STABILIZER, cell, t)]; }
fn score_term(cell: u32, t: u32) -> f32 { return 0.0; }
fn row_weight(cell: u32, chunk: u32, t: u32) -> f32 { return rows[plane(WRITE, cell, t)]; }
fn extra_row(cell: u32, t: u32) -> f32 { return 0.0; }

fn divisor_of(row_sum: f32, level: f32) -> f32 { return 1.0; }

fn write(cell: u32, t: u32, column: u32, result: f32, row_sum: f32) {
    d_value[row_start(cell, t, parameters.v_dim) + column] = Element(result);
}
