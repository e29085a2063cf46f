// The states at all chunk borders on matrix units, one chunk after the other, or their gradients in the other direction:
// state' = carry * state + r (weight * left)^T right, and n beside it with the second weight for right.
//
// left: [B, S, H, dqk], right: [B, S, H, dv], sizes multiples of 16; states: see mlstm/layout.wgsl. The part before this file
// says what they are. One workgroup of four subgroups computes a tile of SIDE x SIDE of a cell's state through all chunks, each
// subgroup a quarter of it, in matrices that stay where they are: in f32, stored at the borders alone. Gates come in twice: the
// whole matrix times carry, and a factor of each position, at most 1, on the rows of left as they are staged.
// The products of a chunk have sums of their own, since they are on a scale of their own.
// 64 positions make a panel; the next one is on its way into registers while one is multiplied, also over a chunk's end; what
// lies beyond the end is loaded from the last position and put away as 0, since a load with a condition of its own is waited
// for (1.34 instead of 0.39 ms for 8192 positions on an H100): this
// kernel is one long chain, and what fills the card is that there are as many tiles as it has processors (SIDE: 64, or 32
// where there are fewer). The workgroups of the first column of tiles carry n as well, four elements an invocation.
// Sizes are multiples of 16, so a matrix lies inside the state or outside of it; in place of one outside a subgroup computes the
// last one inside once more, bit for bit, since all must take part in every load, product and store.
// Barriers: the weights of a chunk are complete before a panel is staged with them; a panel before it is multiplied; all have
// multiplied before the next panel; the partial sums of n are complete before they are added.

const STEP: u32 = 64u;
const LANES: u32 = 128u;
const QUADS: u32 = SIDE / 4u;
const PITCH: u32 = QUADS + 2u;                 // vectors from one row of a panel to the next
const LOADS: u32 = STEP * QUADS / LANES;
const PARTS: u32 = SIDE / 32u;                 // matrices of a subgroup's part, down and across
const GROUPS: u32 = LANES / QUADS;             // partial sums of an element of n

var<workgroup> left_panel: array<vec4<f16>, STEP * PITCH>;   // [position][row of the state]
var<workgroup> right_panel: array<vec4<f16>, STEP * PITCH>;  // [position][column of the state]
var<workgroup> weights: array<vec2<f32>, 256>;
var<workgroup> partial: array<vec4<f32>, LANES>;

// Where a matrix at `part` of the tile begins in it: those beyond the state's `size` are its last one again.
fn inside(first: u32, part: u32, size: u32) -> u32 {
    return min(first + part, size - 16u) - first;
}

// The position in the panel of an invocation's vector number `at`.
fn position_of(lane: u32, at: u32) -> u32 {
    return (lane + at * LANES) / QUADS;
}

@compute @workgroup_size(128)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let across = (parameters.v_dim + SIDE - 1u) / SIDE;
    let down = (parameters.qk_dim + SIDE - 1u) / SIDE;
    // In sight here, and not in a function: else the language does not believe that all invocations agree.
    let flat = part_of_dispatch.first + group.x + groups.x * group.y;
    let cell = flat / (across * down);
    if cell >= parameters.cells {
        return;
    }
    let first_row = flat / across % down * SIDE;
    let first_column = flat % across * SIDE;
    // Where this subgroup's matrices begin in the tile.
    var my_rows: array<u32, PARTS>;
    var my_columns: array<u32, PARTS>;
    for (var i = 0u; i < PARTS; i++) {  // unrolled
        my_rows[i] = inside(first_row, lane / SUBGROUP / 2u * (SIDE / 2u) + i * 16u, parameters.qk_dim);
        my_columns[i] = inside(first_column, lane / SUBGROUP % 2u * (SIDE / 2u) + i * 16u, parameters.v_dim);
    }
    let first_slot = select(0u, parameters.chunks, BACKWARD);
    let given = (parameters.flags & STATE_GIVEN) != 0u;
    let writes_stabilizer = first_row == 0u && first_column == 0u && lane == 0u;
    let has_normalizer = first_column == 0u && lane < QUADS && first_row + lane * 4u < parameters.qk_dim;
    let quad = lane % QUADS;
    let pitch = parameters.v_dim;
    // Beyond the state's edge the last vector stands for those that do not exist: the matrices that it fills are not there.
    let left_column = min(first_row / 4u + quad, parameters.qk_dim / 4u - 1u);
    let right_column = min(first_column / 4u + quad, parameters.v_dim / 4u - 1u);

    var sums: array<Sum, PARTS * PARTS>;
    for (var i = 0u; i < PARTS; i++) {  // unrolled
        for (var j = 0u; j < PARTS; j++) {  // unrolled
            sums[i * PARTS + j] = Sum();
            if given {
                let at = memory_start(first_slot, cell)
                    + (first_row + my_rows[i]) * parameters.v_dim + first_column + my_columns[j];
                sums[i * PARTS + j] = coopLoadT<Sum>(&states[at], pitch);
            }
        }
    }
    var normalizer = vec4<f32>(0.0);
    if given && has_normalizer {
        let at = normalizer_start(first_slot, cell) + first_row + lane * 4u;
        normalizer = vec4<f32>(states[at], states[at + 1u], states[at + 2u], states[at + 3u]);
    }
    begin(cell, writes_stabilizer);

    var fetched = select(0u, (parameters.chunks - 1u) * parameters.chunk_size, BACKWARD);  // the panel that is fetched
    var end = fetched + chunk_rows(fetched / parameters.chunk_size);
    var left: array<vec4<f16>, LOADS>;
    var right: array<vec4<f16>, LOADS>;
    for (var at = 0u; at < LOADS; at++) {  // unrolled
        let t = min(fetched + position_of(lane, at), end - 1u);
        left[at] = left_quad(row_start(cell, t, parameters.qk_dim) / 4u + left_column);
        right[at] = right_quad(row_start(cell, t, parameters.v_dim) / 4u + right_column);
    }

    for (var step = 0u; step <= parameters.chunks; step++) {
        let slot = select(step, parameters.chunks - step, BACKWARD);
        for (var i = 0u; i < PARTS; i++) {  // unrolled
            for (var j = 0u; j < PARTS; j++) {  // unrolled
                let at = memory_start(slot, cell)
                    + (first_row + my_rows[i]) * parameters.v_dim + first_column + my_columns[j];
                let matrix = sums[i * PARTS + j];
                coopStoreT(matrix, &states[at], pitch);
            }
        }
        if has_normalizer {
            let at = normalizer_start(slot, cell) + first_row + lane * 4u;
            states[at] = normalizer.x;
            states[at + 1u] = normalizer.y;
            states[at + 2u] = normalizer.z;
            states[at + 3u] = normalizer.w;
        }
        if step == parameters.chunks {
            break;
        }
        let chunk = select(step, parameters.chunks - 1u - step, BACKWARD);
        let count = chunk_rows(chunk);
        let first = chunk * parameters.chunk_size;
        let factors = carry(cell, chunk, writes_stabilizer);
        for (var part = 0u; part < 256u / LANES; part++) {  // unrolled
            let at = lane + part * LANES;
            weights[at] = weights_of(cell, chunk, first + min(at, count - 1u));
        }
        var news: array<Sum, PARTS * PARTS>;
        for (var i = 0u; i < PARTS * PARTS; i++) {  // unrolled
            news[i] = Sum();
        }
        var share = vec4<f32>(0.0);
        workgroupBarrier();
        for (var panel = 0u; panel < count; panel += STEP) {
            for (var at = 0u; at < LOADS; at++) {  // unrolled
                let row = position_of(lane, at);
                let exists = panel + row < count;
                let weighted = vec4<f32>(left[at]) * weights[min(panel + row, count - 1u)].x;
                left_panel[row * PITCH + quad] = select(vec4<f16>(), vec4<f16>(weighted), exists);
                right_panel[row * PITCH + quad] = select(vec4<f16>(), right[at], exists);
            }
            workgroupBarrier();
            fetched += STEP;
            if fetched >= end && step + 1u < parameters.chunks {
                fetched = select(chunk + 1u, chunk - 1u, BACKWARD) * parameters.chunk_size;
                end = fetched + chunk_rows(fetched / parameters.chunk_size);
            }
            for (var at = 0u; at < LOADS; at++) {  // unrolled
                let t = min(fetched + position_of(lane, at), end - 1u);
                left[at] = left_quad(row_start(cell, t, parameters.qk_dim) / 4u + left_column);
                right[at] = right_quad(row_start(cell, t, parameters.v_dim) / 4u + right_column);
            }
            for (var t = 0u; t < STEP; t += 16u) {  // unrolled
                var transposed: array<Left, PARTS>;
                for (var i = 0u; i < PARTS; i++) {  // unrolled
                    let at = t * PITCH + my_rows[i] / 4u;
                    transposed[i] = coopLoad<Left>(&left_panel[at], PITCH);
                }
                for (var j = 0u; j < PARTS; j++) {  // unrolled
                    let at = t * PITCH + my_columns[j] / 4u;
                    let matrix = coopLoadT<Right>(&right_panel[at], PITCH);
                    for (var i = 0u; i < PARTS; i++) {  // unrolled
                        news[i * PARTS + j] = coopMultiplyAdd(transposed[i], matrix, news[i * PARTS + j]);
                    }
                }
            }
            if first_column == 0u {
                for (var t = lane / QUADS; t < min(STEP, count - panel); t += GROUPS) {
                    share += vec4<f32>(left_panel[t * PITCH + quad]) * weights[panel + t].y;
                }
            }
            workgroupBarrier();
        }
        for (var i = 0u; i < PARTS * PARTS; i++) {  // unrolled
            let old = sums[i] * factors.x;
            let added = news[i] * factors.y;
            sums[i] = old + added;
        }
        partial[lane] = share;
        workgroupBarrier();
        if has_normalizer {
            var total = vec4<f32>(0.0);
            for (var at = 0u; at < GROUPS; at++) {
                total += partial[lane + at * QUADS];
            }
            normalizer = normalizer * factors.x + total * factors.y;
        }
    }
}
