// C = epilogue(A B) as in matmul/tiled.wgsl, on the GPU's matrix units: operands rounded to f16, sums in f32.
//
// A workgroup computes a TILE_M x TILE_N tile of C in steps of TILE_K along the depth. Each of its subgroups computes a
// part of SHARE_M x SHARE_N in matrices of 16 x 16 that its invocations hold together, and so reads SHARE_M + SHARE_N rows
// of the panels (matmul/units_panels.wgsl) for SHARE_M · SHARE_N sums: large parts are worth more than many subgroups.
//
// While one panel is multiplied, the next AHEAD are on their way into registers: two where tiles are small and soon multiplied
// (n = 1024: 84 and 92 TFLOP/s), one where they are large (150 and 118 TFLOP/s for two). One panel in workgroup memory, not two, and no more
// memory than needed: what hides the waiting is a second workgroup on the same processor, and on an H100 two fit with 23 KiB
// each, not with 36 (249 and 172 TFLOP/s). The steps of a panel are written out, so that the next step's matrices are loaded
// while one is multiplied (84 and 249 TFLOP/s).
//
// Sums cannot be converted or scaled where they are. So each subgroup puts one matrix at a time into workgroup memory, and
// its invocations store it from there in vectors, rounded if C is f16: faster than storing matrices, too.
//
// Barriers: a panel is complete before it is read; it is read by all before it is replaced; sums are there before they are
// stored, and stored before the next ones come.

// Matrices of 16 x 16 in a subgroup's part.
const DOWN = SHARE_M / 16u;
const ACROSS = SHARE_N / 16u;

var<workgroup> results: array<vec4<f32>, SUBGROUPS * 64u>;

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

    var sums: array<Sum, DOWN * ACROSS>;
    for (var i = 0u; i < DOWN * ACROSS; i++) {  // unrolled
        sums[i] = Sum();
    }
    var a_at = a_first(lane, start.x, work.row, work.depth);
    var b_at = b_first(lane, start.y, work.column, work.depth);
    var waiting_a: array<vec4<AStored>, AHEAD * A_LOADS>;
    var waiting_b: array<vec4<BStored>, AHEAD * B_LOADS>;
    for (var panel = 0u; panel < AHEAD; panel++) {  // unrolled
        let depth = work.depth + panel * TILE_K;
        // Beyond the last panel that one is loaded once more if all is WHOLE; else nothing is read beyond the end.
        if (panel > 0u) & ((WHOLE == 0u) | (depth < work.end)) {
            a_at += a_advance();
            b_at += b_advance();
        }
        for (var load = 0u; load < A_LOADS; load++) {  // unrolled
            waiting_a[panel * A_LOADS + load] = fetch_a(a_at, load, lane, work.row, depth, work.end);
        }
        for (var load = 0u; load < B_LOADS; load++) {  // unrolled
            waiting_b[panel * B_LOADS + load] = fetch_b(b_at, load, lane, work.column, depth, work.end);
        }
    }
    for (var depth = work.depth; depth < work.end; depth += TILE_K) {
        for (var load = 0u; load < A_LOADS; load++) {  // unrolled
            put_a(load, lane, waiting_a[load]);
        }
        for (var load = 0u; load < B_LOADS; load++) {  // unrolled
            put_b(load, lane, waiting_b[load]);
        }
        workgroupBarrier();
        let ahead = depth + AHEAD * TILE_K;
        if (WHOLE == 0u) | (ahead < work.end) {
            a_at += a_advance();
            b_at += b_advance();
        }
        for (var load = 0u; load < (AHEAD - 1u) * A_LOADS; load++) {  // unrolled
            waiting_a[load] = waiting_a[load + A_LOADS];
        }
        for (var load = 0u; load < (AHEAD - 1u) * B_LOADS; load++) {  // unrolled
            waiting_b[load] = waiting_b[load + B_LOADS];
        }
        for (var load = 0u; load < A_LOADS; load++) {  // unrolled
            waiting_a[(AHEAD - 1u) * A_LOADS + load] = fetch_a(a_at, load, lane, work.row, ahead, work.end);
        }
        for (var load = 0u; load < B_LOADS; load++) {  // unrolled
            waiting_b[(AHEAD - 1u) * B_LOADS + load] = fetch_b(b_at, load, lane, work.column, ahead, work.end);
        }
        for (var k = 0u; k < TILE_K; k += 16u) {  // unrolled
            var left: array<Left, DOWN>;
            for (var i = 0u; i < DOWN; i++) {  // unrolled
                left[i] = left_at(my_row + 16u * i, k);
            }
            for (var j = 0u; j < ACROSS; j++) {  // unrolled
                let right = right_at(k, my_column + 16u * j);
                for (var i = 0u; i < DOWN; i++) {  // unrolled
                    sums[i * ACROSS + j] = coopMultiplyAdd(left[i], right, sums[i * ACROSS + j]);
                }
            }
        }
        workgroupBarrier();
    }

    let place = output_place(work);
    for (var i = 0u; i < DOWN; i++) {  // unrolled
        for (var j = 0u; j < ACROSS; j++) {  // unrolled
            store_matrix(place, work.row + my_row + 16u * i, work.column + my_column + 16u * j, lane, sums[i * ACROSS + j]);
        }
    }
}
