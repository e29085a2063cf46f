// C = epilogue(A B) for each matrix of a batch; or each matrix of C is a sum of such products.
//
// A: [rows, depth], stored so or, if A_TRANSPOSED, as [depth, rows]; B: [depth, columns], stored so or, if B_TRANSPOSED, as
// [columns, depth]; C: [rows, columns]. All row-major, each from an offset on. Which tile a workgroup computes, and what part
// of the depth: matmul/batch.wgsl.
//
// A workgroup computes a TILE_M x TILE_N tile of C in steps of TILE_K along the depth; an invocation computes 4 ROW_QUADS x
// 4 COLUMN_QUADS elements of it in registers, in quads that lie apart by the tile's share, so that neighbours read
// neighbouring vectors. Both panels wait in workgroup memory with the depth outermost, so that the inner product reads them
// as vec4. There are two of each: while one is multiplied, the next is on its way into registers, then into the other.
//
// Versions: naive (one invocation an element, every operand from global memory) -> panels in workgroup memory (each
// operand read TILE times less) -> up to 8 x 8 elements an invocation (workgroup memory read 8 times less) -> next panel
// loaded during the multiply (the wait for memory hidden) -> the steps of the multiply written out (the driver then
// loads the next step's vectors ahead; from a loop it does not: 29 -> 41 TFLOP/s on an H100) -> two panels (one barrier) ->
// vectors along the depth put away element by element in written-out steps (27 -> 36 on a slower H100) -> loads without checks
// where all tiles are WHOLE (36 -> 38) -> tiles of 64 x 64 in steps of 16, since their
// loads are waited for longer than 8 steps take to multiply (n = 1024: 26 -> 31).
//
// Barrier: a panel is complete before it is read, and the one before it has been read by all before it is replaced.
//
// `fetch_a` and `fetch_b` (matmul/{a,b}_{vector,scalar}.wgsl) give four elements that are neighbours in memory, `operands` and
// `further` (matmul/batch.wgsl) the places of matrices, `store` (matmul/store_{vector,scalar}.wgsl) puts results away. If SUMMED, the depth is
// walked once for each product that is added up, in order; the panels simply go on.

alias Panel = f32;

const LANES = (TILE_M / (4u * ROW_QUADS)) * (TILE_N / (4u * COLUMN_QUADS));
// Vectors of a panel that one invocation loads: one or two.
const A_LOADS = TILE_M * TILE_K / 4u / LANES;
const B_LOADS = TILE_N * TILE_K / 4u / LANES;
const A_WIDTH = TILE_M / 4u;
const B_WIDTH = TILE_N / 4u;
// Quads of rows and columns that lie between two of an invocation's.
const ROW_STRIDE = A_WIDTH / ROW_QUADS;
const COLUMN_STRIDE = B_WIDTH / COLUMN_QUADS;

var<workgroup> a_panel: array<vec4<f32>, 2u * TILE_K * A_WIDTH>;
var<workgroup> b_panel: array<vec4<f32>, 2u * TILE_K * B_WIDTH>;

// Puts a fetched vector where the multiply wants it: depth outermost, so a vector along the depth is scattered.
fn store_a(panel: u32, index: u32, value: vec4<f32>) {
    let begin = panel * TILE_K * A_WIDTH;
    if A_TRANSPOSED == 1u {
        a_panel[begin + index] = value;
        return;
    }
    let row = index / (TILE_K / 4u);
    let k = (index % (TILE_K / 4u)) * 4u;
    for (var i = 0u; i < 4u; i++) {  // unrolled
        a_panel[begin + (k + i) * A_WIDTH + row / 4u][row % 4u] = value[i];
    }
}

fn store_b(panel: u32, index: u32, value: vec4<f32>) {
    let begin = panel * TILE_K * B_WIDTH;
    if B_TRANSPOSED == 0u {
        b_panel[begin + index] = value;
        return;
    }
    let column = index / (TILE_K / 4u);
    let k = (index % (TILE_K / 4u)) * 4u;
    for (var i = 0u; i < 4u; i++) {  // unrolled
        b_panel[begin + (k + i) * B_WIDTH + column / 4u][column % 4u] = value[i];
    }
}

// The sums of an invocation: four blocks of 4 x 4, a vector each row. Named, not counted: what is indexed by numbers that are
// only known once loops are unrolled may end up in memory (2 instead of 41 TFLOP/s).
struct Sums {
    block_00: mat4x4<f32>,
    block_01: mat4x4<f32>,
    block_10: mat4x4<f32>,
    block_11: mat4x4<f32>,
}

// Row i is a[i] b.
fn outer(a: vec4<f32>, b: vec4<f32>) -> mat4x4<f32> {
    return mat4x4<f32>(a.x * b, a.y * b, a.z * b, a.w * b);
}

// Adds step k of a panel to the sums of the invocation whose first quad of rows is `row`, of columns `column`.
fn multiply(panel: u32, k: u32, row: u32, column: u32, sums: ptr<function, Sums>) {
    let a_begin = (panel * TILE_K + k) * A_WIDTH + row;
    let b_begin = (panel * TILE_K + k) * B_WIDTH + column;
    let a0 = a_panel[a_begin];
    let b0 = b_panel[b_begin];
    (*sums).block_00 += outer(a0, b0);
    if ROW_QUADS == 2u {
        let a1 = a_panel[a_begin + ROW_STRIDE];
        (*sums).block_10 += outer(a1, b0);
        if COLUMN_QUADS == 2u {
            let b1 = b_panel[b_begin + COLUMN_STRIDE];
            (*sums).block_01 += outer(a0, b1);
            (*sums).block_11 += outer(a1, b1);
        }
    }
}

// Stores a block whose first element is at `row` and `column`.
fn store_block(place: u32, row: u32, column: u32, block: mat4x4<f32>) {
    store(place, row, column, block[0]);
    store(place, row + 1u, column, block[1]);
    store(place, row + 2u, column, block[2]);
    store(place, row + 3u, column, block[3]);
}

@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let work = work_of(flat_workgroup(group, groups));
    if work.matrix >= parameters.matrices {
        return;
    }
    let start = operands(work.matrix);
    let my_row = lane / COLUMN_STRIDE;  // the first quad
    let my_column = lane % COLUMN_STRIDE;

    var sums = Sums();
    var walk_a = start_a(lane, work.row, work.depth, start.x);
    var walk_b = start_b(lane, work.column, work.depth, start.y);
    store_a(0u, lane, fetch_a(walk_a, 0u, work.end));
    store_b(0u, lane, fetch_b(walk_b, 0u, work.end));
    if A_LOADS == 2u {
        store_a(0u, lane + LANES, fetch_a(walk_a, 1u, work.end));
    }
    if B_LOADS == 2u {
        store_b(0u, lane + LANES, fetch_b(walk_b, 1u, work.end));
    }
    workgroupBarrier();
    let steps = (work.end - work.depth + TILE_K - 1u) / TILE_K;  // of one product
    let all_steps = select(steps, steps * parameters.summed, SUMMED == 1u);
    for (var step = 1u; step <= all_steps; step++) {
        // After the last step the walk is beyond the end, where nothing is read; if all is WHOLE it stays on the last panel.
        let panels = select(1u, 0u, (WHOLE == 1u) & (step == all_steps));
        walk_a = advance_a(walk_a, panels);
        walk_b = advance_b(walk_b, panels);
        if SUMMED == 1u && step % steps == 0u && step < all_steps {
            let base = start + further(step / steps);
            walk_a = start_a(lane, work.row, work.depth, base.x);
            walk_b = start_b(lane, work.column, work.depth, base.y);
        }
        let next_a0 = fetch_a(walk_a, 0u, work.end);
        let next_b0 = fetch_b(walk_b, 0u, work.end);
        var next_a1 = vec4<f32>();
        if A_LOADS == 2u {
            next_a1 = fetch_a(walk_a, 1u, work.end);
        }
        var next_b1 = vec4<f32>();
        if B_LOADS == 2u {
            next_b1 = fetch_b(walk_b, 1u, work.end);
        }
        let panel = (step - 1u) % 2u;
        for (var k = 0u; k < TILE_K; k++) {  // unrolled
            multiply(panel, k, my_row, my_column, &sums);
        }
        store_a(1u - panel, lane, next_a0);
        store_b(1u - panel, lane, next_b0);
        if A_LOADS == 2u {
            store_a(1u - panel, lane + LANES, next_a1);
        }
        if B_LOADS == 2u {
            store_b(1u - panel, lane + LANES, next_b1);
        }
        workgroupBarrier();
    }

    let place = output_place(work);
    let row = work.row + 4u * my_row;
    let column = work.column + 4u * my_column;
    store_block(place, row, column, sums.block_00);
    if ROW_QUADS == 2u {
        store_block(place, row + 4u * ROW_STRIDE, column, sums.block_10);
        if COLUMN_QUADS == 2u {
            store_block(place, row, column + 4u * COLUMN_STRIDE, sums.block_01);
            store_block(place, row + 4u * ROW_STRIDE, column + 4u * COLUMN_STRIDE, sums.block_11);
        }
    }
}
