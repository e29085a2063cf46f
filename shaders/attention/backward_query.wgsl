// Causal attention, gradient of the query: dq[t] = sum_j ds[t, j] k[j] over the keys first_key[t] <= j <= t + offset,
// with p[t, j] = exp(q[t] . k[j] / sqrt(D) - m[t]) / z[t] and ds[t, j] = p[t, j] (do[t] . v[j] - delta[t]) / sqrt(D).
// Layouts: attention/sizes.wgsl; terms of each query row: attention/terms.wgsl. With DOCUMENTS = 0 every first_key is 0.
//
// One workgroup computes 64 query rows of one head and passes over the keys in tiles of 32, from the first to the last
// that a row of its own sees; which invocation owns what is in attention/tile.wgsl. p is computed anew, by the products
// of the forward in the same order, so that the score which was the largest is m again however large it is.

@group(0) @binding(1) var<storage, read> query: array<Lane>;
@group(0) @binding(2) var<storage, read> key: array<Lane>;
@group(0) @binding(3) var<storage, read> value: array<Lane>;
@group(0) @binding(4) var<storage, read> d_output: array<Lane>;
@group(0) @binding(5) var<storage, read> terms: array<vec4<u32>>;
@group(0) @binding(6) var<storage, read_write> d_query: array<Element>;

fn read_left(which: u32, place: u32) -> Lane {
    if which == 0u {
        return query[place];
    }
    return d_output[place];
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
    // Rows that do not exist have terms 0, scores 0 and a gradient do of 0: nothing comes of them.
    var most = vec4<f32>(0.0);
    var inverse = vec4<f32>(0.0);
    var delta = vec4<f32>(0.0);
    var first_seen = vec4<u32>(0u);
    let terms_place = batch_head * parameters.queries + first_row;
    for (var r = 0u; r < 4u; r++) {
        if 4u * ty + r < count {
            let term = terms[terms_place + 4u * ty + r];
            most[r] = bitcast<f32>(term.x);
            inverse[r] = bitcast<f32>(term.y);
            delta[r] = bitcast<f32>(term.z);
            first_seen[r] = term.w;
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
    var sums: array<vec4<f32>, 4u * SLICES>;
    for (var first_key = start; first_key < end; first_key += COLUMNS) {
        right = Rows(
            key_place(batch, first_key, head / parameters.group),
            parameters.kv_heads * parameters.head_dim,
            min(COLUMNS, end - first_key),
        );
        var scores = tile_product(0u, lane);
        var d_weights = tile_product(1u, lane);
        for (var j = 0u; j < EACH; j++) {
            let key = vec4<u32>(first_key + tx + TX * j);
            // A row that sees one key alone has the weight 1 whatever its score: rounding must leave nothing.
            var counts = (key <= last_seen) & (last_seen != first_seen);
            if DOCUMENTS == 1u {
                counts = counts & (first_seen <= key);
            }
            // Rounding alone could put a score above the largest, and keys that are not seen.
            let exponent = min(scores[j] * parameters.scale - most, vec4<f32>(0.0));
            let weight = exp_rows(exponent) * inverse;
            let d_score = weight * (d_weights[j] - delta) * parameters.scale;
            set_weights(j, select(vec4<f32>(0.0), d_score, counts), lane);
        }
        add_products(0u, &sums, lane);
    }
    for (var r = 0u; r < 4u; r++) {
        let row = 4u * ty + r;
        if row < count {
            for (var slice = 0u; slice < SLICES; slice++) {
                let result = sums[4u * slice + r];
                let column = 4u * (slice * TX + tx);
                for (var c = 0u; c < 4u; c++) {
                    if column + c < parameters.head_dim {
                        d_query[left.place + row * left.stride + column + c] = Element(result[c]);
                    }
                }
            }
        }
    }
}
