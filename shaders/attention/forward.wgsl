// Causal attention, forward: o[t] = sum_j exp(s[t, j] - m[t]) v[j] / z[t], s[t, j] = q[t] . k[j] / sqrt(D),
// z[t] = sum_j exp(s[t, j] - m[t]), over the keys first_key[t] <= j <= t + offset. Layouts: attention/sizes.wgsl.
//
// One workgroup computes 64 query rows of one head and passes over the keys in tiles of 32, from the first to the last
// that a row of its own sees; which invocation owns what is in attention/tile.wgsl. Nothing but o and the normalizers
// (m, z) is written.
//
// Stable by the running maximum m of each row (online softmax): the sums so far are multiplied by exp(m_old - m_new)
// whenever it rises, so that no exponent is ever above 0. m starts at the least finite number, which is the score of keys
// that a row does not see as well: what they add before the row's first key is multiplied by 0 there, and from then on
// their weight is 0. Scores may be any numbers above the least. Rows beyond the last query compute on zeros and are not
// written.

@group(0) @binding(1) var<storage, read> query: array<Lane>;
@group(0) @binding(2) var<storage, read> key: array<Lane>;
@group(0) @binding(3) var<storage, read> value: array<Lane>;
@group(0) @binding(4) var<storage, read_write> output: array<Element>;
@group(0) @binding(5) var<storage, read_write> normalizers: array<vec2<f32>>;

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
    var first_seen = vec4<u32>(0u);
    for (var r = 0u; r < 4u; r++) {
        if 4u * ty + r < count {
            first_seen[r] = first_key_of(batch, first_row + 4u * ty + r);
        }
    }
    var most = vec4<f32>(LEAST);
    var total = vec4<f32>(0.0);  // of this invocation's columns
    var sums: array<vec4<f32>, 4u * SLICES>;
    let start = least_first_key(batch, first_row, count) / COLUMNS * COLUMNS;
    for (var first_key = start; first_key < end; first_key += COLUMNS) {
        right = Rows(
            key_place(batch, first_key, head / parameters.group),
            parameters.kv_heads * parameters.head_dim,
            min(COLUMNS, end - first_key),
        );
        var scores = tile_product(0u, lane);
        var own = vec4<f32>(LEAST);
        for (var j = 0u; j < EACH; j++) {
            let key = vec4<u32>(first_key + tx + TX * j);
            var seen = key <= last_seen;
            if DOCUMENTS == 1u {
                seen = seen & (first_seen <= key);
            }
            scores[j] = select(vec4<f32>(LEAST), scores[j] * parameters.scale, seen);
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
            if DOCUMENTS == 1u && first_seen[r] > last_seen[r] {
                total[r] = bitcast<f32>(parameters.not_a_number);
                report_first_key(first_seen[r], last_seen[r] + 1u);
            }
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
                normalizers[batch_head * parameters.queries + first_row + row] = vec2<f32>(most[r], total[r]);
            }
        }
    }
}
