// C = epilogue(A B) as in matmul/tiled.wgsl, on the GPU's matrix units: operands rounded to f16, sums in f32.
//
// A workgroup computes a TILE_M x TILE_N tile of C in steps of TILE_K along the depth. Each of its subgroups computes a
// part of SHARE_M x SHARE_N in matrices of 16 x 16 that its invocations hold together, and so reads SHARE_M + SHARE_N rows
// of the panels for SHARE_M · SHARE_N sums: large parts are worth more than many subgroups.
//
// The panels wait in workgroup memory as they are stored, rows of A and B each by 8 halves longer than needed: a matrix is
// loaded row by row in pieces of 16 bytes, which then lie in different banks (twice as fast as without). A transposed
// operand is loaded by columns instead. While one panel is multiplied, the next is on its way into registers. One panel, not
// two: on an H100 a second workgroup on the same processor hides more than a second panel, and two do not fit.
//
// Sums cannot be converted or scaled where they are. So each subgroup puts one matrix at a time into workgroup memory, and
// its invocations store it from there in vectors, rounded if C is f16: faster than storing matrices, too.
//
// Barriers: a panel is complete before it is read; it is read by all before it is replaced; sums are there before they are
// stored, and stored before the next ones come.

alias Panel = f16;

const SUBGROUPS = (TILE_M / SHARE_M) * (TILE_N / SHARE_N);
const LANES = SUBGROUPS * SUBGROUP;  // each loads eight vectors of either panel: all tiles are such
// Vectors of four in a row of a panel, and from one row to the next.
const A_ROW = select(TILE_K, TILE_M, A_TRANSPOSED == 1u) / 4u;
const B_ROW = select(TILE_N, TILE_K, B_TRANSPOSED == 1u) / 4u;
const A_PITCH = A_ROW + 2u;
const B_PITCH = B_ROW + 2u;
const A_ROWS = select(TILE_M, TILE_K, A_TRANSPOSED == 1u);
const B_ROWS = select(TILE_K, TILE_N, B_TRANSPOSED == 1u);
// Matrices of 16 x 16 in a subgroup's part.
const DOWN = SHARE_M / 16u;
const ACROSS = SHARE_N / 16u;

var<workgroup> a_panel: array<vec4<f16>, A_ROWS * A_PITCH>;
var<workgroup> b_panel: array<vec4<f16>, B_ROWS * B_PITCH>;
var<workgroup> results: array<vec4<f32>, SUBGROUPS * 64u>;

// Vectors of the panels as they are fetched.
fn put_a(index: u32, value: vec4<f16>) {
    a_panel[index / A_ROW * A_PITCH + index % A_ROW] = value;
}

fn put_b(index: u32, value: vec4<f16>) {
    b_panel[index / B_ROW * B_PITCH + index % B_ROW] = value;
}

// Stores a matrix whose first element is at `row` and `column`.
fn store_matrix(place: u32, row: u32, column: u32, lane: u32, sum: Sum) {
    let mine = lane / SUBGROUP * 64u;
    let within = lane % SUBGROUP;
    let pitch = 4u;
    coopStoreT(sum, &results[mine], pitch);
    workgroupBarrier();
    store(place, row + within / 4u, column + within % 4u * 4u, results[mine + within]);
    store(place, row + within / 4u + 8u, column + within % 4u * 4u, results[mine + within + 32u]);
    workgroupBarrier();
}

@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    // In sight here, and not in functions: else the language does not believe that all invocations agree.
    let row_of_tiles = (part_of_dispatch.first + group.x + groups.x * group.y) / parameters.column_tiles;
    let column_tile = (part_of_dispatch.first + group.x + groups.x * group.y) % parameters.column_tiles;
    let matrix_of_part = row_of_tiles / parameters.row_tiles;
    let part = matrix_of_part / parameters.matrices;
    if part >= parameters.parts {
        return;
    }
    let begin = part * parameters.part_depth;
    let work = Work(
        matrix_of_part % parameters.matrices,
        part,
        (row_of_tiles % parameters.row_tiles) * TILE_M,
        column_tile * TILE_N,
        begin,
        min(begin + parameters.part_depth, parameters.depth),
    );
    let start = operands(work.matrix);
    let subgroup = lane / SUBGROUP;
    let my_row = subgroup / (TILE_N / SHARE_N) * SHARE_M;
    let my_column = subgroup % (TILE_N / SHARE_N) * SHARE_N;

    // Named, not counted, as in matmul/tiled.wgsl.
    var sum_00 = Sum();
    var sum_01 = Sum();
    var sum_02 = Sum();
    var sum_03 = Sum();
    var sum_10 = Sum();
    var sum_11 = Sum();
    var sum_12 = Sum();
    var sum_13 = Sum();
    var sum_20 = Sum();
    var sum_21 = Sum();
    var sum_22 = Sum();
    var sum_23 = Sum();
    var sum_30 = Sum();
    var sum_31 = Sum();
    var sum_32 = Sum();
    var sum_33 = Sum();
    var walk_a = start_a(lane, work.row, work.depth, start.x);
    var walk_b = start_b(lane, work.column, work.depth, start.y);
    var next_a0 = fetch_a(walk_a, 0u, work.end);
    var next_a1 = fetch_a(walk_a, 1u, work.end);
    var next_a2 = fetch_a(walk_a, 2u, work.end);
    var next_a3 = fetch_a(walk_a, 3u, work.end);
    var next_a4 = fetch_a(walk_a, 4u, work.end);
    var next_a5 = fetch_a(walk_a, 5u, work.end);
    var next_a6 = fetch_a(walk_a, 6u, work.end);
    var next_a7 = fetch_a(walk_a, 7u, work.end);
    var next_b0 = fetch_b(walk_b, 0u, work.end);
    var next_b1 = fetch_b(walk_b, 1u, work.end);
    var next_b2 = fetch_b(walk_b, 2u, work.end);
    var next_b3 = fetch_b(walk_b, 3u, work.end);
    var next_b4 = fetch_b(walk_b, 4u, work.end);
    var next_b5 = fetch_b(walk_b, 5u, work.end);
    var next_b6 = fetch_b(walk_b, 6u, work.end);
    var next_b7 = fetch_b(walk_b, 7u, work.end);
    for (var depth = work.depth; depth < work.end; depth += TILE_K) {
        put_a(lane, next_a0);
        put_a(lane + 1u * LANES, next_a1);
        put_a(lane + 2u * LANES, next_a2);
        put_a(lane + 3u * LANES, next_a3);
        put_a(lane + 4u * LANES, next_a4);
        put_a(lane + 5u * LANES, next_a5);
        put_a(lane + 6u * LANES, next_a6);
        put_a(lane + 7u * LANES, next_a7);
        put_b(lane, next_b0);
        put_b(lane + 1u * LANES, next_b1);
        put_b(lane + 2u * LANES, next_b2);
        put_b(lane + 3u * LANES, next_b3);
        put_b(lane + 4u * LANES, next_b4);
        put_b(lane + 5u * LANES, next_b5);
        put_b(lane + 6u * LANES, next_b6);
        put_b(lane + 7u * LANES, next_b7);
        workgroupBarrier();
        // After the last step the walk is beyond the end, where nothing is read.
        walk_a = advance_a(walk_a);
        walk_b = advance_b(walk_b);
        next_a0 = fetch_a(walk_a, 0u, work.end);
        next_a1 = fetch_a(walk_a, 1u, work.end);
        next_a2 = fetch_a(walk_a, 2u, work.end);
        next_a3 = fetch_a(walk_a, 3u, work.end);
        next_a4 = fetch_a(walk_a, 4u, work.end);
        next_a5 = fetch_a(walk_a, 5u, work.end);
        next_a6 = fetch_a(walk_a, 6u, work.end);
        next_a7 = fetch_a(walk_a, 7u, work.end);
        next_b0 = fetch_b(walk_b, 0u, work.end);
        next_b1 = fetch_b(walk_b, 1u, work.end);
        next_b2 = fetch_b(walk_b, 2u, work.end);
        next_b3 = fetch_b(walk_b, 3u, work.end);
        next_b4 = fetch_b(walk_b, 4u, work.end);
        next_b5 = fetch_b(walk_b, 5u, work.end);
        next_b6 = fetch_b(walk_b, 6u, work.end);
        next_b7 = fetch_b(walk_b, 7u, work.end);
        for (var k = 0u; k < TILE_K; k += 16u) {
            let left_0 = left_at(my_row + 0u, k);
            let left_1 = left_at(my_row + 16u, k);
            let left_2 = left_at(my_row + 32u % SHARE_M, k);
            let left_3 = left_at(my_row + 48u % SHARE_M, k);
            let right_0 = right_at(k, my_column + 0u);
            sum_00 = coopMultiplyAdd(left_0, right_0, sum_00);
            sum_10 = coopMultiplyAdd(left_1, right_0, sum_10);
            if DOWN == 4u {
                sum_20 = coopMultiplyAdd(left_2, right_0, sum_20);
                sum_30 = coopMultiplyAdd(left_3, right_0, sum_30);
            }
            let right_1 = right_at(k, my_column + 16u);
            sum_01 = coopMultiplyAdd(left_0, right_1, sum_01);
            sum_11 = coopMultiplyAdd(left_1, right_1, sum_11);
            if DOWN == 4u {
                sum_21 = coopMultiplyAdd(left_2, right_1, sum_21);
                sum_31 = coopMultiplyAdd(left_3, right_1, sum_31);
            }
            if ACROSS == 4u {
                let right_2 = right_at(k, my_column + 32u);
                sum_02 = coopMultiplyAdd(left_0, right_2, sum_02);
                sum_12 = coopMultiplyAdd(left_1, right_2, sum_12);
                if DOWN == 4u {
                    sum_22 = coopMultiplyAdd(left_2, right_2, sum_22);
                    sum_32 = coopMultiplyAdd(left_3, right_2, sum_32);
                }
                let right_3 = right_at(k, my_column + 48u);
                sum_03 = coopMultiplyAdd(left_0, right_3, sum_03);
                sum_13 = coopMultiplyAdd(left_1, right_3, sum_13);
                if DOWN == 4u {
                    sum_23 = coopMultiplyAdd(left_2, right_3, sum_23);
                    sum_33 = coopMultiplyAdd(left_3, right_3, sum_33);
                }
            }
        }
        workgroupBarrier();
    }

    let place = output_place(work);
    let row = work.row + my_row;
    let column = work.column + my_column;
    store_matrix(place, row, column, lane, sum_00);
    store_matrix(place, row, column + 16u, lane, sum_01);
    if ACROSS == 4u {
        store_matrix(place, row, column + 32u, lane, sum_02);
        store_matrix(place, row, column + 48u, lane, sum_03);
    }
    store_matrix(place, row + 16u, column, lane, sum_10);
    store_matrix(place, row + 16u, column + 16u, lane, sum_11);
    if ACROSS == 4u {
        store_matrix(place, row + 16u, column + 32u, lane, sum_12);
        store_matrix(place, row + 16u, column + 48u, lane, sum_13);
    }
    if DOWN == 4u {
        store_matrix(place, row + 32u, column, lane, sum_20);
        store_matrix(place, row + 32u, column + 16u, lane, sum_21);
        if ACROSS == 4u {
            store_matrix(place, row + 32u, column + 32u, lane, sum_22);
            store_matrix(place, row + 32u, column + 48u, lane, sum_23);
        }
        store_matrix(place, row + 48u, column, lane, sum_30);
        store_matrix(place, row + 48u, column + 16u, lane, sum_31);
        if ACROSS == 4u {
            store_matrix(place, row + 48u, column + 32u, lane, sum_32);
            store_matrix(place, row + 48u, column + 48u, lane, sum_33);
        }
    }
}
