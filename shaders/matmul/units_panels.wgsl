// The panels that feed the matrix units, TILE_M rows by TILE_K of A's depth and TILE_K by TILE_N columns of B, and how an
// invocation loads its vectors of them.
//
// A panel lies in workgroup memory as its operand is stored, each row by 8 halves longer than needed: matrices are loaded row
// by row in pieces of 16 bytes, which then fall into different banks. LANES vectors of four are loaded at a time, A_LOADS or
// B_LOADS times for a panel, and kept as they are stored, f32 or f16, until they are put away: a conversion would wait for the
// load.
//
// WHOLE: rows and columns are multiples of the tile's, and the depth is one of TILE_K, so that there is nothing to check. Else
// what lies outside the matrix, or from the depth `end` on, is 0.

@group(0) @binding(1) var<storage, read> a: array<vec4<AStored>>;
@group(0) @binding(2) var<storage, read> b: array<vec4<BStored>>;

const SUBGROUPS = (TILE_M / SHARE_M) * (TILE_N / SHARE_N);
const LANES = SUBGROUPS * SUBGROUP;
// Vectors of four in a row of a panel, and from one row to the next.
const A_ROW = select(TILE_K, TILE_M, A_TRANSPOSED == 1u) / 4u;
const B_ROW = select(TILE_N, TILE_K, B_TRANSPOSED == 1u) / 4u;
const A_PITCH = A_ROW + 2u;
const B_PITCH = B_ROW + 2u;
const A_ROWS = select(TILE_M, TILE_K, A_TRANSPOSED == 1u);
const B_ROWS = select(TILE_K, TILE_N, B_TRANSPOSED == 1u);
// Vectors of a panel for each invocation.
const A_LOADS = A_ROWS * A_ROW / LANES;
const B_LOADS = B_ROWS * B_ROW / LANES;
// Rows of a panel from one load of an invocation to its next.
const A_APART = LANES / A_ROW;
const B_APART = LANES / B_ROW;

var<workgroup> a_panel: array<vec4<f16>, A_ROWS * A_PITCH>;
var<workgroup> b_panel: array<vec4<f16>, B_ROWS * B_PITCH>;

// Vectors in a stored row of an operand.
fn a_stride() -> u32 {
    return select(parameters.depth, parameters.rows, A_TRANSPOSED == 1u) / 4u;
}

fn b_stride() -> u32 {
    return select(parameters.columns, parameters.depth, B_TRANSPOSED == 1u) / 4u;
}

// The vectors from one panel to the next.
fn a_advance() -> u32 {
    return select(TILE_K / 4u, TILE_K * a_stride(), A_TRANSPOSED == 1u);
}

fn b_advance() -> u32 {
    return select(TILE_K * b_stride(), TILE_K / 4u, B_TRANSPOSED == 1u);
}

// Where an invocation's first vector of the first panel is; `base` is where the matrix starts, `line` the tile's first row.
fn a_first(lane: u32, base: u32, line: u32, depth: u32) -> u32 {
    let corner = select(line * a_stride() + depth / 4u, depth * a_stride() + line / 4u, A_TRANSPOSED == 1u);
    return base / 4u + corner + lane / A_ROW * a_stride() + lane % A_ROW;
}

fn b_first(lane: u32, base: u32, line: u32, depth: u32) -> u32 {
    let corner = select(depth * b_stride() + line / 4u, line * b_stride() + depth / 4u, B_TRANSPOSED == 1u);
    return base / 4u + corner + lane / B_ROW * b_stride() + lane % B_ROW;
}

// Load number `load` of the panel whose first vector is at `at`, and which is at `line` and `depth`.
fn fetch_a(at: u32, load: u32, lane: u32, line: u32, depth: u32, end: u32) -> vec4<AStored> {
    let place = at + load * A_APART * a_stride();
    if WHOLE == 1u {
        return a[place];
    }
    let across = lane / A_ROW + load * A_APART;
    let along = lane % A_ROW * 4u;
    let row = line + select(across, along, A_TRANSPOSED == 1u);
    let k = depth + select(along, across, A_TRANSPOSED == 1u);
    let exists = (row < parameters.rows) & (k < end);
    return select(vec4<AStored>(), a[select(0u, place, exists)], exists);
}

fn fetch_b(at: u32, load: u32, lane: u32, line: u32, depth: u32, end: u32) -> vec4<BStored> {
    let place = at + load * B_APART * b_stride();
    if WHOLE == 1u {
        return b[place];
    }
    let across = lane / B_ROW + load * B_APART;
    let along = lane % B_ROW * 4u;
    let column = line + select(along, across, B_TRANSPOSED == 1u);
    let k = depth + select(across, along, B_TRANSPOSED == 1u);
    let exists = (column < parameters.columns) & (k < end);
    return select(vec4<BStored>(), b[select(0u, place, exists)], exists);
}

fn put_a(load: u32, lane: u32, value: vec4<AStored>) {
    a_panel[(lane / A_ROW + load * A_APART) * A_PITCH + lane % A_ROW] = vec4<f16>(value);
}

fn put_b(load: u32, lane: u32, value: vec4<BStored>) {
    b_panel[(lane / B_ROW + load * B_APART) * B_PITCH + lane % B_ROW] = vec4<f16>(value);
}
