// Causal attention of a single query, first half: a part of the keys. o = sum_j exp(s[j] - m) v[j] / z over the keys from
// first_key on.
// Layouts: attention/sizes.wgsl with queries = 1; parts: [batch, heads, tiles, D + 2].
//
// One workgroup computes one part of the keys of one head, in chunks of 64 keys, and writes (m, sum_j exp(s[j] - m),
// sum_j exp(s[j] - m) v[j]), m the part's largest score; step_merge.wgsl joins the parts. 16 invocations take a row of key
// or value together, each the vectors of four columns `x`, x + 16, ... (SLICES = D / 64 rounded up of them); the 16
// such groups `y` take the keys y, y + 16, y + 32, y + 48 of the chunk.
//
// Stable by the running maximum, as in forward.wgsl. A part before first_key has the sums 0 and the least m.

@group(0) @binding(1) var<storage, read> query: array<Lane>;
@group(0) @binding(2) var<storage, read> key: array<Lane>;
@group(0) @binding(3) var<storage, read> value: array<Lane>;
@group(0) @binding(4) var<storage, read_write> parts: array<f32>;

const CHUNK: u32 = 64u;

var<workgroup> products: array<f32, 1024>;  // [key of the chunk][x]
var<workgroup> weights: array<f32, 64>;
var<workgroup> sums: array<vec4<f32>, 256>;

fn read_left(which: u32, place: u32) -> Lane {
    return query[place];
}

fn read_right(which: u32, place: u32) -> Lane {
    if which == 0u {
        return key[place];
    }
    return value[place];
}

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let index = flat_workgroup(group, groups);
    if index >= parameters.tiles * parameters.batch_heads {
        return;
    }
    let batch_head = index / parameters.tiles;
    let batch = batch_head / parameters.heads;
    let head = batch_head % parameters.heads;
    let kv_head = head / parameters.group;
    let x = lane % 16u;
    let y = lane / 16u;
    let first_key = first_key_of(batch, 0u);
    let first_of_part = (index % parameters.tiles) * parameters.part_keys;
    let end = min(parameters.keys, first_of_part + parameters.part_keys);
    let start = min(max(first_of_part, first_key), end);
    let count = end - start;
    left = Rows(query_place(batch, 0u, head), 0u, 1u);
    right = Rows(key_place(batch, start, kv_head), parameters.kv_heads * parameters.head_dim, count);
    var q: array<vec4<f32>, SLICES>;
    for (var slice = 0u; slice < SLICES; slice++) {
        q[slice] = load_left(0u, 0u, 64u * slice + 4u * x) * parameters.scale;
    }
    var most = LEAST;
    var total = 0.0;  // of the keys of group y
    var own: array<vec4<f32>, SLICES>;
    for (var chunk = 0u; chunk < count; chunk += CHUNK) {
        for (var i = y; i < CHUNK; i += 16u) {
            var product = 0.0;
            for (var slice = 0u; slice < SLICES; slice++) {
                product += dot(q[slice], load_right(0u, chunk + i, 64u * slice + 4u * x));
            }
            products[16u * i + x] = product;
        }
        workgroupBarrier();  // the products are complete before they are added
        if lane < CHUNK {
            var score = 0.0;
            for (var i = 0u; i < 16u; i++) {
                score += products[16u * lane + i];
            }
            weights[lane] = select(LEAST, score, chunk + lane < count);
        }
        workgroupBarrier();  // the scores are complete before the maximum is taken
        let before = most;
        for (var i = 0u; i < CHUNK; i++) {
            most = max(most, weights[i]);
        }
        let factor = safe_exp(before - most);
        total *= factor;
        for (var slice = 0u; slice < SLICES; slice++) {
            own[slice] *= factor;
        }
        for (var i = y; i < CHUNK; i += 16u) {
            // 0 beyond the last key, where values are read as 0
            let weight = safe_exp(weights[i] - most);
            total += weight;
            for (var slice = 0u; slice < SLICES; slice++) {
                own[slice] += weight * load_right(1u, chunk + i, 64u * slice + 4u * x);
            }
        }
        workgroupBarrier();  // the scores are read before the next chunk's overwrite them
    }
    let result = index * (parameters.head_dim + 2u);
    if x == 0u {
        weights[y] = total;
    }
    for (var slice = 0u; slice < SLICES; slice++) {
        sums[lane] = own[slice];
        workgroupBarrier();  // sums and totals are complete before they are added
        let column = 64u * slice + lane;
        if lane < 64u && column < parameters.head_dim {
            var sum = 0.0;
            for (var i = 0u; i < 16u; i++) {
                sum += sums[16u * i + lane / 4u][lane % 4u];
            }
            parts[result + 2u + column] = sum;
        }
        workgroupBarrier();  // the sums are read before the next slice overwrites them
    }
    if lane == 0u {
        var sum = 0.0;
        for (var i = 0u; i < 16u; i++) {
            sum += weights[i];
        }
        if DOCUMENTS == 1u && first_key >= parameters.keys {
            sum = bitcast<f32>(parameters.not_a_number);
            report_first_key(first_key, parameters.keys);
        }
        parts[result] = most;
        parts[result + 1u] = sum;
    }
}
