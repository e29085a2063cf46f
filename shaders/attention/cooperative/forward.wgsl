// Causal attention on matrix units, forward, f16: o[t] = sum_j exp(s[t, j] - m[t]) v[j] / z[t], s[t, j] = q[t] . k[j] / sqrt(D),
// z[t] = sum_j exp(s[t, j] - m[t]), over the keys first_key[t] <= j <= t + offset. Layouts: attention/sizes.wgsl. For a
// head_dim that is a multiple of 16 up to 128.
//
// One workgroup computes 4 EACH query rows of one head, EACH a subgroup, and passes over the keys in tiles of 32. A subgroup
// keeps its queries and its output's sums in registers. For each tile it multiplies queries and keys, its invocations turn
// the scores into weights (attention/cooperative/weigh.wgsl), and it multiplies these with the values. Products are of
// f16 with sums of f32, exponents and totals are f32.
//
// Barriers, two places a tile: after the scores are stored, and after the weights are. Between the two, keys of the next tile
// and values of this one are put into workgroup memory: the last keys were read before the first, the last values before
// it as well. They were loaded from storage before the products that come in between.

@group(0) @binding(1) var<storage, read> query: array<vec4<f16>>;
@group(0) @binding(2) var<storage, read> key: array<vec4<f16>>;
@group(0) @binding(3) var<storage, read> value: array<vec4<f16>>;
@group(0) @binding(4) var<storage, read_write> output: array<vec4<f16>>;
@group(0) @binding(5) var<storage, read_write> normalizers: array<vec2<f32>>;

const ROWS: u32 = 4u * EACH;
const KEYS_AT: u32 = 0u;
const VALUES_AT: u32 = COLUMNS * PITCH;
const WEIGHTS_AT: u32 = 2u * COLUMNS * PITCH;

// Keys, values and weights; before the first tile the queries, which are smaller for every D.
var<workgroup> halves: array<vec4<f16>, 2u * COLUMNS * PITCH + ROWS * WEIGHT_PITCH>;
var<workgroup> scores: array<vec4<f32>, ROWS * SCORE_PITCH>;
var<workgroup> totals: array<f32, THREADS>;
var<workgroup> grown: atomic<u32>;  // 1 if a reference moved in this tile

fn read_operand(which: u32, place: u32) -> vec4<f16> {
    if which == 0u {
        return query[place];
    }
    if which == 1u {
        return key[place];
    }
    return value[place];
}

@compute @workgroup_size(THREADS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    // flat_workgroup by hand: naga takes what a function gives for not uniform, and wants this way to be.
    let index = part_of_dispatch.first + group.x + groups.x * group.y;
    if index >= parameters.tiles * parameters.batch_heads {
        return;
    }
    // The last tiles, which see the most keys, come first.
    let first_row = (parameters.tiles - 1u - index / parameters.batch_heads) * ROWS;
    let batch_head = index % parameters.batch_heads;
    let batch = batch_head / parameters.heads;
    let head = batch_head % parameters.heads;
    let kv_head = head / parameters.group;
    let count = min(ROWS, parameters.queries - first_row);
    let end = first_row + count + parameters.offset;
    let base = lane / SUBGROUP * EACH;  // the first row of the subgroup
    let row = base + lane % EACH;  // the row that this invocation weighs
    let part = lane % SUBGROUP / EACH;
    let last_seen = first_row + row + parameters.offset;
    var first_seen = 0u;
    if row < count {
        first_seen = first_key_of(batch, first_row + row);
    }
    let start = least_first_key(batch, first_row, count) / COLUMNS * COLUMNS;

    let queries = query_rows(batch, first_row, head, ROWS, parameters.queries);
    for (var i = lane; i < ROWS * PACKS; i += THREADS) {
        halves[padded(i)] = fetch(0u, queries, i);
    }
    if lane == 0u {
        atomicStore(&grown, 0u);
    }
    workgroupBarrier();  // the queries are complete before they are loaded
    var q: array<Left, HIGH * DEPTH>;
    for (var h = 0u; h < HIGH; h++) {  // unrolled
        for (var d = 0u; d < DEPTH; d++) {  // unrolled
            q[h * DEPTH + d] = coopLoadT<Left>(&halves[(base + 16u * h) * PITCH + 4u * d], PITCH);
        }
    }
    workgroupBarrier();  // the queries are loaded before keys overwrite them
    var next_keys = fetch_tile(1u, key_rows(batch, start, kv_head, COLUMNS, end), lane);
    put_tile(&next_keys, KEYS_AT, lane);
    workgroupBarrier();  // the first keys are complete before they are multiplied

    var products: array<Sum, HIGH * WIDE>;
    var sums: array<Sum, HIGH * DEPTH>;
    var left: array<Left, HIGH>;
    var state = Row(LOWEST, 0.0, 0.0, 1.0);
    for (var first_key = start; first_key < end; first_key += COLUMNS) {
        next_keys = fetch_tile(1u, key_rows(batch, first_key + COLUMNS, kv_head, COLUMNS, end), lane);
        var values = fetch_tile(2u, key_rows(batch, first_key, kv_head, COLUMNS, end), lane);
        for (var i = 0u; i < HIGH * WIDE; i++) {  // unrolled
            products[i] = Sum();
        }
        for (var d = 0u; d < DEPTH; d++) {  // unrolled
            for (var w = 0u; w < WIDE; w++) {  // unrolled
                let right = coopLoad<Right>(&halves[KEYS_AT + 16u * w * PITCH + 4u * d], PITCH);
                for (var h = 0u; h < HIGH; h++) {  // unrolled
                    products[h * WIDE + w] = coopMultiplyAdd(q[h * DEPTH + d], right, products[h * WIDE + w]);
                }
            }
        }
        for (var h = 0u; h < HIGH; h++) {  // unrolled
            for (var w = 0u; w < WIDE; w++) {  // unrolled
                let place = (base + 16u * h) * SCORE_PITCH + 4u * w;
                let pitch = SCORE_PITCH;
                let matrix = products[h * WIDE + w];
                coopStoreT(matrix, &scores[place], pitch);
            }
        }
        workgroupBarrier();  // scores are complete, keys and the last tile's values and weights are read
        put_tile(&next_keys, KEYS_AT, lane);
        put_tile(&values, VALUES_AT, lane);
        let masked = DOCUMENTS == 1u || first_key + COLUMNS > first_row + base + parameters.offset + 1u;
        weigh(&state, row, part, first_key, vec2<u32>(first_seen, last_seen), masked);
        // Two barriers: weights, keys and values are complete, scores are read.
        if workgroupUniformLoad(&grown) == 1u {
            if lane == 0u {
                atomicStore(&grown, 0u);
            }
            // Some reference moved: the sums pass through the place of the scores, of which two columns of matrices fit.
            for (var d = 0u; d < DEPTH; d++) {  // unrolled
                let pitch = SCORE_PITCH;
                for (var h = 0u; h < HIGH; h++) {  // unrolled
                    let place = (base + 16u * h) * SCORE_PITCH + 4u * (d % 2u);
                    let matrix = sums[h * DEPTH + d];
                    coopStoreT(matrix, &scores[place], pitch);
                }
                workgroupBarrier();  // the sums are complete before they are scaled
                for (var i = part; i < 4u; i += SHARE) {
                    scores[row * SCORE_PITCH + 4u * (d % 2u) + i] *= state.factor;
                }
                workgroupBarrier();  // the sums are scaled before they are loaded
                for (var h = 0u; h < HIGH; h++) {  // unrolled
                    let place = (base + 16u * h) * SCORE_PITCH + 4u * (d % 2u);
                    sums[h * DEPTH + d] = coopLoadT<Sum>(&scores[place], pitch);
                }
            }
            workgroupBarrier();  // the sums are loaded before the next tile's scores overwrite them
        }
        for (var w = 0u; w < WIDE; w++) {  // unrolled
            for (var h = 0u; h < HIGH; h++) {  // unrolled
                let place = WEIGHTS_AT + (base + 16u * h) * WEIGHT_PITCH + 4u * w;
                left[h] = coopLoadT<Left>(&halves[place], WEIGHT_PITCH);
            }
            for (var d = 0u; d < DEPTH; d++) {  // unrolled
                let right = coopLoadT<Right>(&halves[VALUES_AT + 16u * w * PITCH + 4u * d], PITCH);
                for (var h = 0u; h < HIGH; h++) {  // unrolled
                    sums[h * DEPTH + d] = coopMultiplyAdd(left[h], right, sums[h * DEPTH + d]);
                }
            }
        }
    }

    if DOCUMENTS == 1u && row < count && first_seen > last_seen {
        state.total = bitcast<f32>(parameters.not_a_number);
        report_first_key(first_seen, last_seen + 1u);
    }
    totals[lane] = state.total;
    for (var d = 0u; d < DEPTH; d++) {  // unrolled
        for (var h = 0u; h < HIGH; h++) {  // unrolled
            let place = (base + 16u * h) * SCORE_PITCH + 4u * (d % 2u);
            let pitch = SCORE_PITCH;
            let matrix = sums[h * DEPTH + d];
            coopStoreT(matrix, &scores[place], pitch);
        }
        workgroupBarrier();  // sums and totals are complete; what is overwritten next was read a column before
        for (var i = lane % SUBGROUP; i < 4u * EACH; i += SUBGROUP) {
            let result = base + i / 4u;
            if result < count {
                let total = row_total(lane / SUBGROUP * SUBGROUP + i / 4u);
                let sum = scores[result * SCORE_PITCH + 4u * (d % 2u) + i % 4u];
                output[queries.place + result * queries.stride + 4u * d + i % 4u] = vec4<f16>(sum / total);
            }
        }
    }
    if part == 0u && row < count {
        // Relative to the largest score itself.
        let shift = rough_exp2(vec4<f32>(state.reference - state.most * parameters.scale * LOG2_E)).x;
        let normalizer = vec2<f32>(state.most * parameters.scale, row_total(lane) * shift);
        normalizers[batch_head * parameters.queries + first_row + row] = normalizer;
    }
}

// The total of a row's weights; `first` is the first of its two invocations.
fn row_total(first: u32) -> f32 {
    return totals[first] + totals[first + EACH];
}
