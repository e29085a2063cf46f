// Causal attention on matrix units, gradient of the query, f16: dq[t] = sum_j ds[t, j] k[j] over the keys
// first_key[t] <= j <= t + offset, with p[t, j] = exp(q[t] . k[j] / sqrt(D) - m[t]) / z[t] and
// ds[t, j] = p[t, j] (do[t] . v[j] - delta[t]) / sqrt(D). Layouts: attention/sizes.wgsl; terms of each query row:
// attention/terms.wgsl. With DOCUMENTS = 0 every first_key is 0.
//
// One workgroup computes 2 EACH query rows of one head and passes over the keys in tiles of 32. Two subgroups share EACH
// rows: the one of role 0 keeps the queries and multiplies the scores q k^T, the one of role 1 keeps do and multiplies do v^T.
// All invocations make ds of these; then each of the two sums up ds k for one half of the columns. As to ds and SPREAD see
// attention/cooperative/backward_key.wgsl.
//
// Barriers, two a tile: after the products are stored, and after ds is. Between the two, keys and values of the next tile are
// put into workgroup memory, where keys have two places: the last keys and values were read before the first barrier, those
// keys after the second.

@group(0) @binding(1) var<storage, read> query: array<vec4<f16>>;
@group(0) @binding(2) var<storage, read> key: array<vec4<f16>>;
@group(0) @binding(3) var<storage, read> value: array<vec4<f16>>;
@group(0) @binding(4) var<storage, read> d_output: array<vec4<f16>>;
@group(0) @binding(5) var<storage, read> terms: array<vec4<u32>>;
@group(0) @binding(6) var<storage, read_write> d_query: array<vec4<f16>>;

const ROWS: u32 = 2u * EACH;
const TILE: u32 = COLUMNS * PITCH;
const VALUES_AT: u32 = 2u * TILE;
const WEIGHTS_AT: u32 = 3u * TILE;
const SCORES: u32 = ROWS * SCORE_PITCH;
const TURNS: u32 = ROWS / 16u;  // vectors of a tile of scores that an invocation weighs: 8 a row, 128 invocations
const HALF: u32 = (DEPTH + 1u) / 2u;  // matrices across head_dim that a subgroup sums up

// Keys of a tile and of the next, values, ds; before the first tile queries and do, which are smaller for every D.
var<workgroup> halves: array<vec4<f16>, 3u * TILE + ROWS * WEIGHT_PITCH>;
var<workgroup> scores: array<vec4<f32>, 2u * SCORES>;  // q k^T, and do v^T

fn read_operand(which: u32, place: u32) -> vec4<f16> {
    if which == 0u {
        return query[place];
    }
    if which == 1u {
        return d_output[place];
    }
    if which == 2u {
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
    let role = lane / SUBGROUP % 2u;
    let base = lane / (2u * SUBGROUP) * EACH;  // the first row of the subgroup

    let own = query_rows(batch, first_row, head, ROWS, parameters.queries);
    for (var i = lane; i < ROWS * PACKS; i += THREADS) {
        halves[padded(i)] = fetch(0u, own, i);
        halves[ROWS * PITCH + padded(i)] = fetch(1u, own, i);
    }
    workgroupBarrier();  // queries and do are complete before they are loaded
    var kept: array<Left, HIGH * DEPTH>;
    for (var h = 0u; h < HIGH; h++) {  // unrolled
        for (var d = 0u; d < DEPTH; d++) {  // unrolled
            let place = (role * ROWS + base + 16u * h) * PITCH + 4u * d;
            kept[h * DEPTH + d] = coopLoadT<Left>(&halves[place], PITCH);
        }
    }
    workgroupBarrier();  // queries and do are loaded before tiles overwrite them

    let terms_place = batch_head * parameters.queries + first_row;
    // Rows that do not exist have terms 0, and so the weight 0.
    var of_rows: array<vec4<u32>, TURNS>;
    for (var i = 0u; i < TURNS; i++) {
        if lane / 8u + 16u * i < count {
            of_rows[i] = terms[terms_place + lane / 8u + 16u * i];
        }
    }
    var start = 0u;
    if DOCUMENTS == 1u {
        start = parameters.keys;
        for (var row = 0u; row < count; row++) {
            start = min(start, terms[terms_place + row].w);
        }
        start = start / COLUMNS * COLUMNS;
    }
    var next_keys = fetch_tile(2u, key_rows(batch, start, kv_head, COLUMNS, end), lane);
    var next_values = fetch_tile(3u, key_rows(batch, start, kv_head, COLUMNS, end), lane);
    put_tile(&next_keys, 0u, lane);
    put_tile(&next_values, VALUES_AT, lane);
    workgroupBarrier();  // the first tile is complete before it is multiplied

    var products: array<Sum, HIGH * WIDE>;
    var sums: array<Sum, HIGH * HALF>;
    var left: array<Left, HIGH>;
    var keys_at = 0u;
    for (var first_key = start; first_key < end; first_key += COLUMNS) {
        next_keys = fetch_tile(2u, key_rows(batch, first_key + COLUMNS, kv_head, COLUMNS, end), lane);
        next_values = fetch_tile(3u, key_rows(batch, first_key + COLUMNS, kv_head, COLUMNS, end), lane);
        for (var i = 0u; i < HIGH * WIDE; i++) {  // unrolled
            products[i] = Sum();
        }
        let right_at = select(VALUES_AT, keys_at, role == 0u);
        for (var d = 0u; d < DEPTH; d++) {  // unrolled
            for (var w = 0u; w < WIDE; w++) {  // unrolled
                let right = coopLoad<Right>(&halves[right_at + 16u * w * PITCH + 4u * d], PITCH);
                for (var h = 0u; h < HIGH; h++) {  // unrolled
                    products[h * WIDE + w] = coopMultiplyAdd(kept[h * DEPTH + d], right, products[h * WIDE + w]);
                }
            }
        }
        for (var h = 0u; h < HIGH; h++) {  // unrolled
            for (var w = 0u; w < WIDE; w++) {  // unrolled
                let place = role * SCORES + (base + 16u * h) * SCORE_PITCH + 4u * w;
                let pitch = SCORE_PITCH;
                let matrix = products[h * WIDE + w];
                coopStoreT(matrix, &scores[place], pitch);
            }
        }
        workgroupBarrier();  // products are complete, values and the last tile's keys and ds are read
        put_tile(&next_keys, TILE - keys_at, lane);
        put_tile(&next_values, VALUES_AT, lane);
        let keys = first_key + 4u * (lane % 8u) + vec4<u32>(0u, 1u, 2u, 3u);
        for (var i = 0u; i < TURNS; i++) {
            let row = lane / 8u + 16u * i;
            let term = of_rows[i];
            let last_seen = first_row + row + parameters.offset;
            let place = row * SCORE_PITCH + lane % 8u;
            // Rounding alone could put a score above the largest, and keys that are not seen.
            let exponent = scores[place] * (parameters.scale * LOG2_E) - bitcast<f32>(term.x) * LOG2_E;
            let weight = rough_exp2(min(exponent, vec4<f32>(0.0))) * bitcast<f32>(term.y);
            let d_score = weight * (scores[SCORES + place] - bitcast<f32>(term.z)) * SPREAD;
            // A row that sees one key alone has the weight 1 whatever its score: rounding must leave nothing.
            var counts = (keys <= vec4<u32>(last_seen)) & vec4<bool>(last_seen != term.w);
            if DOCUMENTS == 1u {
                counts = counts & (vec4<u32>(term.w) <= keys);
            }
            halves[WEIGHTS_AT + row * WEIGHT_PITCH + lane % 8u] = vec4<f16>(select(vec4<f32>(0.0), d_score, counts));
        }
        workgroupBarrier();  // ds and the next tile are complete, products are read
        for (var w = 0u; w < WIDE; w++) {  // unrolled
            for (var h = 0u; h < HIGH; h++) {  // unrolled
                let place = WEIGHTS_AT + (base + 16u * h) * WEIGHT_PITCH + 4u * w;
                left[h] = coopLoadT<Left>(&halves[place], WEIGHT_PITCH);
            }
            for (var i = 0u; i < HALF; i++) {  // unrolled
                // Of an odd number of matrices the last one here is not one: what it gives of the padding is not stored.
                let right = coopLoadT<Right>(&halves[keys_at + 16u * w * PITCH + 4u * (role * HALF + i)], PITCH);
                for (var h = 0u; h < HIGH; h++) {  // unrolled
                    sums[h * HALF + i] = coopMultiplyAdd(left[h], right, sums[h * HALF + i]);
                }
            }
        }
        keys_at = TILE - keys_at;
    }

    for (var i = 0u; i < HALF; i++) {  // unrolled
        for (var h = 0u; h < HIGH; h++) {  // unrolled
            let place = role * SCORES + (base + 16u * h) * SCORE_PITCH + 4u * (i % 2u);
            let pitch = SCORE_PITCH;
            let matrix = sums[h * HALF + i];
            coopStoreT(matrix, &scores[place], pitch);
        }
        workgroupBarrier();  // the sums are complete; what is overwritten next was read a column before
        let d = role * HALF + i;
        for (var turn = lane % SUBGROUP; turn < 4u * EACH; turn += SUBGROUP) {
            let row = base + turn / 4u;
            if row < count && d < DEPTH {
                let sum = scores[role * SCORES + row * SCORE_PITCH + 4u * (i % 2u) + turn % 4u];
                let result = vec4<f16>(sum * (parameters.scale / SPREAD));
                d_query[own.place + row * own.stride + 4u * d + turn % 4u] = result;
            }
        }
    }
}
