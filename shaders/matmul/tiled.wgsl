// C = A B, C += A B or C = A B + bias, for each matrix of a batch; or each matrix of C is a sum of such products.
//
// A: [rows, depth], stored so or, if A_TRANSPOSED, as [depth, rows]; B: [depth, columns], stored so or, if B_TRANSPOSED, as
// [columns, depth]; C: [rows, columns]. All row-major, each from an offset on. Workgroups run over the tiles of a row of
// tiles, then over these rows, then over the matrices.
//
// A workgroup computes a TILE_M x TILE_N tile of C in steps of TILE_K along the depth; an invocation computes ROWS x 4
// elements of it in registers. Both panels wait in workgroup memory with the depth outermost, so that the inner product
// reads them as vec4. While one panel is multiplied, the next is already on its way into registers.
//
// Versions: naive (one invocation an element, every operand from global memory) -> panels in workgroup memory (each
// operand read TILE times less) -> 4 x 4 or 8 x 4 elements an invocation (workgroup memory read 4 times less) -> next
// panel loaded during the multiply (the wait for memory hidden).
//
// Barriers: one after the panels are stored, so that all are there; one after the multiply, before they are replaced.
//
// `load_a` and `load_b` (matmul/{a,b}_{vector,scalar}.wgsl) give four elements that are neighbours in memory, `operands` and
// `further` (matmul/batch.wgsl) the places of matrices, `epilogue` (matmul/epilogue_{plain,bias}.wgsl) what is stored. If
// SUMMED, the depth is walked once for each product that is added up, in order; the panels simply go on.

@group(0) @binding(3) var<storage, read_write> c: array<f32>;

const LANES = (TILE_M / ROWS) * (TILE_N / 4u);
// Vectors of a panel that one invocation loads.
const A_LOADS = TILE_M * TILE_K / 4u / LANES;
const B_LOADS = TILE_N * TILE_K / 4u / LANES;
const A_WIDTH = TILE_M / 4u;
const B_WIDTH = TILE_N / 4u;

var<workgroup> a_panel: array<vec4<f32>, TILE_K * A_WIDTH>;
var<workgroup> b_panel: array<vec4<f32>, TILE_K * B_WIDTH>;

// Vector `index` of the A panel whose depth starts at `depth`.
fn fetch_a(index: u32, first_row: u32, depth: u32, base: u32) -> vec4<f32> {
    if A_TRANSPOSED == 1u {
        let row = first_row + (index % A_WIDTH) * 4u;
        let k = depth + index / A_WIDTH;
        if k >= parameters.depth {
            return vec4<f32>();
        }
        return load_a(base + k * parameters.rows, row, parameters.rows);
    }
    let row = first_row + index / (TILE_K / 4u);
    let k = depth + (index % (TILE_K / 4u)) * 4u;
    if row >= parameters.rows {
        return vec4<f32>();
    }
    return load_a(base + row * parameters.depth, k, parameters.depth);
}

fn fetch_b(index: u32, first_column: u32, depth: u32, base: u32) -> vec4<f32> {
    if B_TRANSPOSED == 1u {
        let column = first_column + index / (TILE_K / 4u);
        let k = depth + (index % (TILE_K / 4u)) * 4u;
        if column >= parameters.columns {
            return vec4<f32>();
        }
        return load_b(base + column * parameters.depth, k, parameters.depth);
    }
    let column = first_column + (index % B_WIDTH) * 4u;
    let k = depth + index / B_WIDTH;
    if k >= parameters.depth {
        return vec4<f32>();
    }
    return load_b(base + k * parameters.columns, column, parameters.columns);
}

// Puts a fetched vector where the multiply wants it: depth outermost, so a vector along the depth is scattered.
fn store_a(index: u32, value: vec4<f32>) {
    if A_TRANSPOSED == 1u {
        a_panel[index] = value;
        return;
    }
    let row = index / (TILE_K / 4u);
    let k = (index % (TILE_K / 4u)) * 4u;
    for (var i = 0u; i < 4u; i++) {
        a_panel[(k + i) * A_WIDTH + row / 4u][row % 4u] = value[i];
    }
}

fn store_b(index: u32, value: vec4<f32>) {
    if B_TRANSPOSED == 0u {
        b_panel[index] = value;
        return;
    }
    let column = index / (TILE_K / 4u);
    let k = (index % (TILE_K / 4u)) * 4u;
    for (var i = 0u; i < 4u; i++) {
        b_panel[(k + i) * B_WIDTH + column / 4u][column % 4u] = value[i];
    }
}

@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let tile = flat_workgroup(group, groups);
    let row_of_tiles = tile / parameters.column_tiles;
    let matrix = row_of_tiles / parameters.row_tiles;
    if matrix >= parameters.matrices {
        return;
    }
    let first_row = (row_of_tiles % parameters.row_tiles) * TILE_M;
    let first_column = (tile % parameters.column_tiles) * TILE_N;
    let start = operands(matrix);
    let my_row = lane / B_WIDTH;  // in units of ROWS
    let my_column = lane % B_WIDTH;  // in units of 4

    var sums: array<vec4<f32>, ROWS>;
    for (var row = 0u; row < ROWS; row++) {
        sums[row] = vec4<f32>();
    }
    var next_a: array<vec4<f32>, A_LOADS>;
    var next_b: array<vec4<f32>, B_LOADS>;
    for (var i = 0u; i < A_LOADS; i++) {
        next_a[i] = fetch_a(lane + i * LANES, first_row, 0u, start.x);
    }
    for (var i = 0u; i < B_LOADS; i++) {
        next_b[i] = fetch_b(lane + i * LANES, first_column, 0u, start.y);
    }
    let steps = (parameters.depth + TILE_K - 1u) / TILE_K;  // of one product
    let all_steps = select(steps, steps * parameters.summed, SUMMED == 1u);
    var base = start;
    var depth = 0u;
    for (var step = 1u; step <= all_steps; step++) {
        for (var i = 0u; i < A_LOADS; i++) {
            store_a(lane + i * LANES, next_a[i]);
        }
        for (var i = 0u; i < B_LOADS; i++) {
            store_b(lane + i * LANES, next_b[i]);
        }
        workgroupBarrier();
        depth += TILE_K;
        // After the last step the depth stays beyond the end, where nothing is read.
        if SUMMED == 1u && depth >= parameters.depth && step < all_steps {
            depth = 0u;
            base = start + further(step / steps);
        }
        for (var i = 0u; i < A_LOADS; i++) {
            next_a[i] = fetch_a(lane + i * LANES, first_row, depth, base.x);
        }
        for (var i = 0u; i < B_LOADS; i++) {
            next_b[i] = fetch_b(lane + i * LANES, first_column, depth, base.y);
        }
        for (var k = 0u; k < TILE_K; k++) {
            let b = b_panel[k * B_WIDTH + my_column];
            for (var quad = 0u; quad < ROWS / 4u; quad++) {
                let a = a_panel[k * A_WIDTH + my_row * (ROWS / 4u) + quad];
                for (var i = 0u; i < 4u; i++) {
                    sums[quad * 4u + i] = fma(vec4<f32>(a[i]), b, sums[quad * 4u + i]);
                }
            }
        }
        workgroupBarrier();
    }

    let column = first_column + my_column * 4u;
    let c_start = parameters.c_offset + matrix * parameters.rows * parameters.columns;
    for (var i = 0u; i < ROWS; i++) {
        let row = first_row + my_row * ROWS + i;
        if row < parameters.rows {
            let place = c_start + row * parameters.columns + column;
            for (var j = 0u; j < 4u; j++) {
                if column + j < parameters.columns {
                    let sum = epilogue(sums[i][j], column + j);
                    c[place + j] = sum + select(0.0, c[place + j], parameters.accumulate == 1u);
                }
            }
        }
    }
}
