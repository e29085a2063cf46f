// h = (S V + s exp(b + m - m_t) Q C) / D with S = s Q K^T decay, and den beside it; D is 1 if NORMALIZE = 0. On matrix units.
// Rows: queries. Columns: keys up to the row. First product: Q K^T. Second: S V. State: C before the chunk.

@group(0) @binding(1) var<storage, read> query: array<vec4<f16>>;
@group(0) @binding(2) var<storage, read> key: array<vec4<f16>>;
@group(0) @binding(3) var<storage, read> value: array<vec4<f16>>;
@group(0) @binding(4) var<storage, read> gates: array<f32>;
@group(0) @binding(5) var<storage, read> states: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> h: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read_write> den: array<f32>;

const ROWS_ARE_QUERIES: bool = true;
const STATE_TRANSPOSED: bool = false;
const HAS_DEN: bool = true;
const HAS_DOTS: bool = false;

fn depth_size() -> u32 { return parameters.qk_dim; }
fn width_size() -> u32 { return parameters.v_dim; }
fn state_slot(chunk: u32) -> u32 { return chunk; }

fn row_quad(place: u32) -> vec4<f16> { return query[place]; }
fn column_quad(place: u32) -> vec4<f16> { return key[place]; }
fn summed_quad(place: u32) -> vec4<f16> { return value[place]; }
fn gate(index: u32, cell: u32, t: u32) -> f32 { return gates[plane(index, cell, t)]; }

// m_t and how far level_t is from the state's part, which is at most DEEPEST.
fn stabilizers(cell: u32, chunk: u32, t: u32) -> vec3<f32> {
    let kept = gate(FROM_START, cell, t) + state_number(stabilizer_place(chunk, cell));
    let stabilizer = max(kept, gate(REACH, cell, t));
    let level = max(gate(PEAK, cell, t), stabilizer - DEEPEST);
    return vec3<f32>(stabilizer, level, kept);
}

fn row_terms(cell: u32, chunk: u32, t: u32, scale: f32) -> Row {
    let levels = stabilizers(cell, chunk, t);
    let pull = parameters.scale * safe_exp(levels.z - levels.y) * scale;
    let fit = 1.0 / power_above(max(1.0, pull));
    return Row(gate(TILE_PREFIX, cell, t), -levels.y, 0.0, parameters.scale * fit, pull * fit, fit);
}

fn column_terms(cell: u32, chunk: u32, j: u32) -> vec4<f32> {
    return vec4<f32>(gate(TILE_SUFFIX, cell, j), gate(LOG_INPUT, cell, j), 0.0, 1.0);
}

fn row_result(cell: u32, chunk: u32, t: u32, row: Row, sum: f32, writes: bool) -> vec2<f32> {
    let levels = stabilizers(cell, chunk, t);
    let factor = safe_exp(levels.y - levels.x) / row.fit;
    var divisor = 1.0;
    if NORMALIZE == 1u {
        divisor = max(abs(sum * factor), safe_exp(-levels.x)) + parameters.epsilon;
    }
    if writes {
        den[row_start(cell, t, 1u)] = sum * factor;
    }
    return vec2<f32>(factor / divisor, 0.0);
}

fn dot_quad(place: u32) -> vec4<f32> { return vec4<f32>(0.0); }
fn write_dot(tile: u32, cell: u32, t: u32, sums: vec2<f32>) {}

fn write(place: u32, four: vec4<f32>) {
    h[place] = four;
}
