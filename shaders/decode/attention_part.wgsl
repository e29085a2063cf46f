// Attention of one position over an f16 cache, first half: KEYS keys of one head. With s[j] = q k[j] / sqrt(D) and m their
// maximum: m, sum_j exp(s[j] - m), sum_j exp(s[j] - m) v[j].
//
// projection: [batch, width], of which the first heads · D are the queries; key, value: f16 [batch, capacity, kv_heads, D], D a
// multiple of 8 up to 256; position: one number, the last key's; parts: [batch, heads, most_parts, D + 2].
//
// A workgroup is 32 teams of 8 invocations. In turn the teams take a key each: invocation i of a team reads the packs of 8
// numbers i, i + 8, ... (LOADS of them). The products of all keys meet in workgroup memory, where one invocation adds up
// those of one key; then the teams pass over the values likewise. All keys of a part are seen at once, so no sum is rescaled.
//
// Barriers: products, scores and sums are complete before they are read, and read before they are overwritten.

struct Parameters {
    parts: u32,
    most_parts: u32,
    batch_heads: u32,
    heads: u32,
    group: u32,      // heads / kv_heads
    kv_heads: u32,
    head_dim: u32,
    capacity: u32,
    width: u32,
    scale: f32,
}

@group(0) @binding(0) var<uniform> parameters: Parameters;
@group(0) @binding(1) var<storage, read> projection: array<f32>;
@group(0) @binding(2) var<storage, read> key: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read> value: array<vec4<u32>>;
@group(0) @binding(4) var<storage, read> position: array<u32>;
@group(0) @binding(5) var<storage, read_write> parts: array<f32>;

const TURNS = KEYS / 32u;
const PRODUCT_STRIDE = 9u;  // 8 products of a key, and one word so that neighbours are in different banks

var<workgroup> products: array<f32, 2304>;
var<workgroup> weights: array<f32, 256>;

// Four neighbours of the projection.
fn four(place: u32) -> vec4<f32> {
    return vec4<f32>(projection[place], projection[place + 1u], projection[place + 2u], projection[place + 3u]);
}

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let index = flat_workgroup(group, groups);
    if index >= parameters.parts * parameters.batch_heads {
        return;
    }
    let batch_head = index / parameters.parts;
    let part = index % parameters.parts;
    let text = batch_head / parameters.heads;
    let head = batch_head % parameters.heads;
    let team = lane / 8u;
    let member = lane % 8u;
    let packs = parameters.head_dim / 8u;
    let keys = min(position[0] + 1u, parameters.capacity);
    let first = min(part * KEYS, keys - 1u);
    let count = select(min(KEYS, keys - first), 0u, part * KEYS >= keys);
    let last = max(count, 1u) - 1u;
    let row = parameters.kv_heads * packs;
    let start = (text * parameters.capacity + first) * row + head / parameters.group * packs;

    var low: array<vec4<f32>, LOADS>;
    var high: array<vec4<f32>, LOADS>;
    for (var load = 0u; load < LOADS; load++) {  // unrolled
        let pack = member + 8u * load;
        if pack < packs {
            let place = text * parameters.width + head * parameters.head_dim + 8u * pack;
            low[load] = parameters.scale * four(place);
            high[load] = parameters.scale * four(place + 4u);
        }
    }
    for (var turn = 0u; turn < TURNS; turn++) {  // unrolled
        let at = turn * 32u + team;
        // Beyond the last key that one is read again, and left out of the scores.
        let from_key = start + min(at, last) * row;
        var product = 0.0;
        for (var load = 0u; load < LOADS; load++) {  // unrolled
            let pack = min(member + 8u * load, packs - 1u);
            let both = key[from_key + pack];
            product += dot(low[load], lower(both)) + dot(high[load], upper(both));
        }
        products[at * PRODUCT_STRIDE + member] = product;
    }
    workgroupBarrier();  // the products are complete before they are added
    var score = LEAST;
    if lane < count {
        score = 0.0;
        for (var i = 0u; i < 8u; i++) {
            score += products[lane * PRODUCT_STRIDE + i];
        }
    }
    let most = row_highest(score, lane);
    var weight = 0.0;
    if lane < count {
        weight = safe_exp(score - most);
    }
    weights[lane] = weight;
    let total = row_sums(vec2<f32>(weight, 0.0), lane).x;  // its barriers show the weights to all

    var low_sum: array<vec4<f32>, LOADS>;
    var high_sum: array<vec4<f32>, LOADS>;
    for (var turn = 0u; turn < TURNS; turn++) {  // unrolled
        let at = turn * 32u + team;
        let from_value = start + min(at, last) * row;
        let share = weights[at];
        for (var load = 0u; load < LOADS; load++) {  // unrolled
            let pack = min(member + 8u * load, packs - 1u);
            let both = value[from_value + pack];
            low_sum[load] += share * lower(both);
            high_sum[load] += share * upper(both);
        }
    }
    let result = (batch_head * parameters.most_parts + part) * (parameters.head_dim + 2u);
    for (var load = 0u; load < LOADS; load++) {  // unrolled
        for (var i = 0u; i < 4u; i++) {  // unrolled
            products[team * 65u + member * 8u + i] = low_sum[load][i];
            products[team * 65u + member * 8u + 4u + i] = high_sum[load][i];
        }
        workgroupBarrier();  // the sums of all teams are there
        let column = 64u * load + lane;
        if lane < 64u && column < parameters.head_dim {
            var sum = 0.0;
            for (var other = 0u; other < 32u; other++) {
                sum += products[other * 65u + lane];
            }
            parts[result + 2u + column] = sum;
        }
        workgroupBarrier();  // they are read before the next columns overwrite them
    }
    if lane == 0u {
        parts[result] = most;
        parts[result + 1u] = total;
    }
}
