// Causal attention, forward: o[t] = sum_j exp(s[t, j] - lse[t]) v[j], s[t, j] = q[t] . k[j] / sqrt(D),
// lse[t] = ln sum_j exp(s[t, j]), over the keys j <= t + offset. Layouts: attention/sizes.wgsl.
//
// One workgroup computes 64 query rows of one head and passes over the keys in tiles of 32, up to the last that a row of
// its own sees; which invocation owns what is in attention/tile.wgsl. Nothing but o and lse is written.
//
// Stable by the running maximum m of each row (online softmax): the sums so far are multiplied by exp(m_old - m_new)
// whenever it rises, so that no exponent is ever above 0. The first tile holds key 0, which every row sees, so m is a
// score from then on. Rows beyond the last query compute on zeros and are not written.

@group(0) @binding(1) var<storage, read> query: array<Lane>;
@group(0) @binding(2) var<storage, read> key: array<Lane>;
@group(0) @binding(3) var<storage, read> value: array<Lane>;
@group(0) @binding(4) var<storage, read_write> output: array<Element>;
@group(0) @binding(5) var<storage, read_write> lse: array<f32>;

fn read_left(which: u32, place: u32) -> Lane {
    return query[place];
}

fn read_right(which: u32, place: u32) -> Lane {
    if which == 0u {
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
    let index = flat_workgroup(group, groups);
    if index >= parameters.tiles * parameters.batch_heads {
        return;
    }
    // The last tiles, which see the most keys, come first.
    let first_row = (parameters.tiles - 1u - index / parameters.batch_heads) * ROWS;
    let batch_head = index % parameters.batch_heads;
    let batch = batch_head / parameters.heads;
    let head = batch_head % parameters.heads;
    let tx = lane % TX;
    let ty = lane / TX;
    let count = min(ROWS, parameters.queries - first_row);
    left = Rows(query_place(batch, first_row, head), parameters.heads * parameters.head_dim, count);
    let end = first_row + count + parameters.offset;
    let last_seen = first_row + 4u * ty + parameters.offset + vec4<u32>(0u, 1u, 2u, 3u);
    var most = vec4<f32>(LOWEST);
    var total = vec4<f32>(0.0);  // of this invocation's columns
    var sums: array<vec4<f32>, 4u * SLICES>;
    for (var first_key = 0u; first_key < end; first_key += COLUMNS) {
        right = Rows(
            key_place(batch, first_key, head / parameters.group),
            parameters.kv_heads * parameters.head_dim,
            min(COLUMNS, end - first_key),
        );
        var scores = tile_product(0u, lane);
        var own = vec4<f32>(LOWEST);
        for (var j = 0u; j < EACH; j++) {
            let seen = vec4<u32>(first_key + tx + TX * j) <= last_seen;
            scores[j] = select(vec4<f32>(LOWEST), scores[j] * parameters.scale, seen);
            own = max(own, scores[j]);
        }
        tile[lane] = own;
        workgroupBarrier();  // all maxima are there before they are read
        let before = most;
        for (var other = 0u; other < TX; other++) {
            most = max(most, tile[ty * TX + other]);
        }
        workgroupBarrier();  // the maxima are read before values overwrite them
        let factor = exp_rows(before - most);
        total *= factor;
        for (var j = 0u; j < EACH; j++) {
            let weight = exp_rows(scores[j] - most);
            total += weight;
            set_weights(j, weight, lane);
        }
        for (var slice = 0u; slice < SLICES; slice++) {
            sums[4u * slice] *= factor.x;
            sums[4u * slice + 1u] *= factor.y;
            sums[4u * slice + 2u] *= factor.z;
            sums[4u * slice + 3u] *= factor.w;
        }
        add_products(1u, &sums, lane);
    }
    tile[lane] = total;
    workgroupBarrier();  // all totals are there before they are added
    total = vec4<f32>(0.0);
    for (var other = 0u; other < TX; other++) {
        total += tile[ty * TX + other];
    }
    for (var r = 0u; r < 4u; r++) {
        let row = 4u * ty + r;
        if row < count {
            let place = left.place + row * left.stride;
            for (var slice = 0u; slice < SLICES; slice++) {
                let result = sums[4u * slice + r] / total[r];
                let column = 4u * (slice * TX + tx);
                for (var c = 0u; c < 4u; c++) {
                    if column + c < parameters.head_dim {
                        output[place + column + c] = Element(result[c]);
                    }
                }
            }
            if tx == 0u {
                lse[batch_head * parameters.queries + first_row + row] = most[r] + log(total[r]);
            }
        }
    }
}
