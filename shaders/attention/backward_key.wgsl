// Causal attention, gradients of key and value: dk[j] = sum_t ds[t, j] q[t] and dv[j] = sum_t p[t, j] do[t] over the
// queries of every head that reads this kv head and with first_key[t] <= j <= t + offset, with
// p[t, j] = exp(q[t] . k[j] / sqrt(D) - m[t]) / z[t] and ds[t, j] = p[t, j] (do[t] . v[j] - delta[t]) / sqrt(D).
// Layouts: attention/sizes.wgsl; terms of each query row: attention/terms.wgsl. With DOCUMENTS = 0 every first_key is 0.
//
// One workgroup computes 64 key rows of one kv head: it passes over the heads of the group and over their queries in
// tiles of 32, from the first that sees a key of its own; tiles of which no query does are left out. So each sum has one
// owner and one order. Which invocation owns what is in attention/tile.wgsl, with keys as rows and queries as columns. Key
// rows that are not used get gradient 0.

@group(0) @binding(1) var<storage, read> query: array<Lane>;
@group(0) @binding(2) var<storage, read> key: array<Lane>;
@group(0) @binding(3) var<storage, read> value: array<Lane>;
@group(0) @binding(4) var<storage, read> d_output: array<Lane>;
@group(0) @binding(5) var<storage, read> terms: array<vec4<u32>>;
@group(0) @binding(6) var<storage, read_write> d_key: array<Element>;
@group(0) @binding(7) var<storage, read_write> d_value: array<Element>;

fn read_left(which: u32, place: u32) -> Lane {
    if which == 0u {
        return key[place];
    }
    return value[place];
}

fn read_right(which: u32, place: u32) -> Lane {
    if which == 0u {
        return query[place];
    }
    return d_output[place];
}

// Whether the first key of any of the `count` queries whose terms begin at `place` is `key` or an earlier one.
fn any_begins_by(key: u32, place: u32, count: u32) -> bool {
    for (var column = 0u; column < count; column++) {
        if terms[place + column].w <= key {
            return true;
        }
    }
    return false;
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
    // The first tiles, which the most queries see, come first.
    let first_row = (index / parameters.batch_heads) * ROWS;
    let batch = (index % parameters.batch_heads) / parameters.kv_heads;
    let kv_head = index % parameters.kv_heads;
    let tx = lane % TX;
    let ty = lane / TX;
    left = Rows(
        key_place(batch, first_row, kv_head),
        parameters.kv_heads * parameters.head_dim,
        min(ROWS, max(parameters.keys, first_row) - first_row),
    );
    let rows = first_row + 4u * ty + vec4<u32>(0u, 1u, 2u, 3u);
    let start = (max(first_row, parameters.offset) - parameters.offset) / COLUMNS * COLUMNS;
    var d_keys: array<vec4<f32>, 4u * SLICES>;
    var d_values: array<vec4<f32>, 4u * SLICES>;
    for (var head = kv_head * parameters.group; head < (kv_head + 1u) * parameters.group; head++) {
        let terms_place = (batch * parameters.heads + head) * parameters.queries;
        for (var first = start; first < parameters.queries; first += COLUMNS) {
            let count = min(COLUMNS, parameters.queries - first);
            if DOCUMENTS == 1u && !any_begins_by(first_row + ROWS - 1u, terms_place + first, count) {
                continue;
            }
            right = Rows(query_place(batch, first, head), parameters.heads * parameters.head_dim, count);
            var scores = tile_product(0u, lane);
            var d_weights = tile_product(1u, lane);
            for (var j = 0u; j < EACH; j++) {
                let column = tx + TX * j;
                var term = vec4<u32>(0u);
                if column < count {
                    term = terms[terms_place + first + column];
                }
                let last_seen = first + column + parameters.offset;
                var seen = (rows <= vec4<u32>(last_seen)) & vec4<bool>(column < count);
                if DOCUMENTS == 1u {
                    seen = seen & (vec4<u32>(term.w) <= rows);
                }
                // Rounding alone could put a score above the largest, and keys that are not seen.
                let exponent = min(scores[j] * parameters.scale - bitcast<f32>(term.x), vec4<f32>(0.0));
                let weight = select(vec4<f32>(0.0), exp_rows(exponent) * bitcast<f32>(term.y), seen);
                // ds from here on; 0 for a query that sees one key alone: its weight is 1 whatever its score.
                let d_score = weight * (d_weights[j] - bitcast<f32>(term.z)) * parameters.scale;
                scores[j] = select(vec4<f32>(0.0), d_score, seen & vec4<bool>(last_seen != term.w));
                set_weights(j, weight, lane);
            }
            add_products(1u, &d_values, lane);
            for (var j = 0u; j < EACH; j++) {
                set_weights(j, scores[j], lane);
            }
            add_products(0u, &d_keys, lane);
        }
    }
    for (var r = 0u; r < 4u; r++) {
        let row = 4u * ty + r;
        if first_row + row < parameters.capacity {
            for (var slice = 0u; slice < SLICES; slice++) {
                let of_key = d_keys[4u * slice + r];
                let of_value = d_values[4u * slice + r];
                let column = 4u * (slice * TX + tx);
                for (var c = 0u; c < 4u; c++) {
                    if column + c < parameters.head_dim {
                        d_key[left.place + row * left.stride + column + c] = Element(of_key[c]);
                        d_value[left.place + row * left.stride + column + c] = Element(of_value[c]);
                    }
                }
            }
        }
    }
}
