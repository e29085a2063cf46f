// h = (S V + s exp(b + m - m_t) Q C) / D with S = s Q K^T decay, and den beside it; D is 1 if NORMALIZE = 0.
// Rows: queries. Columns: keys up to the row. First product: Q K^T. Second: S V. State: C before the chunk.

@group(0) @binding(1) var<storage, read> query: array<Element>;
@group(0) @binding(2) var<storage, read> key: array<Element>;
@group(0) @binding(3) var<storage, read> value: array<Element>;
@group(0) @binding(4) var<storage, read> gates: array<f32>;
@group(0) @binding(5) var<storage, read> states: array<f32>;
@group(0) @binding(6) var<storage, read_write> h: array<f32>;
@group(0) @binding(7) var<storage, read_write> den: array<f32>;

const ROWS_ARE_QUERIES: bool = true;
const STATE_TRANSPOSED: bool = false;
const HAS_DEN: bool = true;

fn depth_size() -> u32 { return parameters.qk_dim; }
fn width_size() -> u32 { return parameters.v_dim; }
fn state_slot(chunk: u32) -> u32 { return chunk; }

fn row_operand(place: u32, cell: u32, t: u32) -> f32 { return f32(query[place]); }
fn column_operand(place: u32, cell: u32, t: u32) -> f32 { return f32(key[place]); }
fn summed_operand(place: u32, cell: u32, t: u32) -> f32 { return f32(value[place]); }

fn stabilizer(cell: u32, chunk: u32, t: u32) -> f32 {
    return max(gates[plane(FROM_START, cell, t)] + states[stabilizer_place(chunk, cell)], gates[plane(REACH, cell, t)]);
}

fn score_term(cell: u32, t: u32) -> f32 { return 0.0; }

fn row_weight(cell: u32, chunk: u32, t: u32) -> f32 {
    let kept = gates[plane(FROM_START, cell, t)] + states[stabilizer_place(chunk, cell)];
    return parameters.scale * safe_exp(kept - stabilizer(cell, chunk, t));
}

// What of the state's outer product with its extra column goes to every element: nothing.
fn extra_row(cell: u32, t: u32) -> f32 { return 0.0; }

// D of a row, from its den and its stabiliser.
fn divisor_of(row_sum: f32, level: f32) -> f32 {
    if NORMALIZE == 1u {
        return max(abs(row_sum), safe_exp(-level)) + parameters.epsilon;
    }
    return 1.0;
}

fn write(cell: u32, t: u32, column: u32, result: f32, row_sum: f32) {
    h[row_start(cell, t, parameters.v_dim) + column] = result;
    if column == 0u {
        den[row_start(cell, t, 1u)] = row_sum;
    }
}
