// Causal attention, gradients of key and value: dk[j] = sum_t ds[t, j] q[t] and dv[j] = sum_t p[t, j] do[t] over the
// queries t >= j - offset of every head that reads this kv head, with p[t, j] = exp(q[t] . k[j] / sqrt(D) - lse[t]) and
// ds[t, j] = p[t, j] (do[t] . v[j] - delta[t]) / sqrt(D).
// Layouts: attention/sizes.wgsl; terms holds (lse, delta) of each query row.
//
// One workgroup computes 64 key rows of one kv head: it passes over the heads of the group and over their queries in
// tiles of 32, from the first that sees a key of its own. So each sum has one owner and one order. Which invocation owns
// what is in attention/tile.wgsl, with keys as rows and queries as columns. Key rows that are not used get gradient 0.

@group(0) @binding(1) var<storage, read> query: array<Lane>;
@group(0) @binding(2) var<storage, read> key: array<Lane>;
@group(0) @binding(3) var<storage, read> value: array<Lane>;
@group(0) @binding(4) var<storage, read> d_output: array<Lane>;
@group(0) @binding(5) var<storage, read> terms: array<vec2<f32>>;
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
            right = Rows(
                query_place(batch, first, head),
                parameters.heads * parameters.head_dim,
                min(COLUMNS, parameters.queries - first),
            );
            var scores = tile_product(0u, lane);
            var d_weights = tile_product(1u, lane);
            for (var j = 0u; j < EACH; j++) {
                let column = tx + TX * j;
                var term = vec2<f32>(0.0);
                if column < right.count {
                    term = terms[terms_place + first + column];
                }
                let seen = (rows <= vec4<u32>(first + column + parameters.offset))
                    & vec4<bool>(column < right.count);
                let weight = exp_rows(select(vec4<f32>(LOWEST), scores[j] * parameters.scale - term.x, seen));
                // ds from here on; 0 for a query that sees one key alone: its weight is 1 whatever its score.
                scores[j] = weight * (d_weights[j] - term.y) * parameters.scale;
                if first + column + parameters.offset == 0u {
                    scores[j] = vec4<f32>(0.0);
                }
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
