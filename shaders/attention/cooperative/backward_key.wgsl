// Causal attention on matrix units, gradients of key and value, f16: dk[j] = sum_t ds[t, j] q[t] and dv[j] = sum_t p[t, j] do[t]
// over the queries of every head that reads this kv head and with first_key[t] <= j <= t + offset, with
// p[t, j] = exp(q[t] . k[j] / sqrt(D) - m[t]) / z[t] and ds[t, j] = p[t, j] (do[t] . v[j] - delta[t]) / sqrt(D).
// Layouts: attention/sizes.wgsl; terms of each query row: attention/terms.wgsl. With DOCUMENTS = 0 every first_key is 0.
//
// One workgroup computes 2 EACH key rows of one kv head and passes over the heads of the group and their queries in tiles of
// 32. Two subgroups share EACH rows: the one of role 0 keeps the keys, multiplies the scores k q^T and sums up dv; the one of
// role 1 keeps the values, multiplies v do^T and sums up dk. Between these, all invocations make p and ds of the scores.
// p needs no maximum that is yet to be found, so nothing is ever rescaled. ds is rounded to f16 without 1 / sqrt(D) and times
// SPREAD, so that small weights of long sequences keep their digits; the sums are scaled in f32 in the end.
//
// Barriers, two a tile: after the products are stored, and after the weights are. Between the two the next tile is put into
// the other one of two places, which was last read before the first. It was loaded from storage before the products.

@group(0) @binding(1) var<storage, read> query: array<vec4<f16>>;
@group(0) @binding(2) var<storage, read> key: array<vec4<f16>>;
@group(0) @binding(3) var<storage, read> value: array<vec4<f16>>;
@group(0) @binding(4) var<storage, read> d_output: array<vec4<f16>>;
@group(0) @binding(5) var<storage, read> terms: array<vec4<u32>>;
@group(0) @binding(6) var<storage, read_write> d_key: array<vec4<f16>>;
@group(0) @binding(7) var<storage, read_write> d_value: array<vec4<f16>>;

const ROWS: u32 = 2u * EACH;
const TILE: u32 = COLUMNS * PITCH;
const WEIGHTS_AT: u32 = 4u * TILE;  // p, and behind it ds
const WEIGHTS: u32 = ROWS * WEIGHT_PITCH;
const SCORES: u32 = ROWS * SCORE_PITCH;
const TURNS: u32 = ROWS / 16u;  // vectors of a tile of scores that an invocation weighs: 8 a row, 128 invocations

// Queries and do of a tile, those of the next, p and ds; before the first tile keys and values, which are as large as the
// tiles at most.
var<workgroup> halves: array<vec4<f16>, 4u * TILE + 2u * WEIGHTS>;
var<workgroup> scores: array<vec4<f32>, 2u * SCORES>;  // k q^T, and v do^T

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

// Where the tiles of this workgroup are: `of_head` for each of the heads that read the kv head, from query `start` on.
struct Tiles {
    start: u32,
    of_head: u32,
    count: u32,
    batch: u32,
    head: u32,
    last_key: u32,
}

fn tile_head(tiles: Tiles, tile: u32) -> u32 {
    return tiles.head + tile / tiles.of_head;
}

fn tile_start(tiles: Tiles, tile: u32) -> u32 {
    return tiles.start + tile % tiles.of_head * COLUMNS;
}

// The place of the terms of a tile's first query.
fn tile_terms(tiles: Tiles, tile: u32) -> u32 {
    return (tiles.batch * parameters.heads + tile_head(tiles, tile)) * parameters.queries + tile_start(tiles, tile);
}

// The rows of a tile of queries; none beyond the last tile.
fn tile_rows(tiles: Tiles, tile: u32) -> Rows {
    if tile >= tiles.count {
        return Rows(0u, 0u, 0u);
    }
    return query_rows(tiles.batch, tile_start(tiles, tile), tile_head(tiles, tile), COLUMNS, parameters.queries);
}

// The first tile from `tile` on of which any query begins by the workgroup's last key.
fn following(tiles: Tiles, tile: u32) -> u32 {
    var next = tile;
    if DOCUMENTS == 1u {
        for (; next < tiles.count; next++) {
            let count = min(COLUMNS, parameters.queries - tile_start(tiles, next));
            let place = tile_terms(tiles, next);
            var begins = false;
            for (var column = 0u; column < count; column++) {
                begins = begins || terms[place + column].w <= tiles.last_key;
            }
            if begins {
                break;
            }
        }
    }
    return next;
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
    // The first tiles, which the most queries see, come first.
    let first_row = (index / parameters.batch_heads) * ROWS;
    let batch = (index % parameters.batch_heads) / parameters.kv_heads;
    let kv_head = index % parameters.kv_heads;
    let role = lane / SUBGROUP % 2u;
    let base = lane / (2u * SUBGROUP) * EACH;  // the first row of the subgroup
    let start = (max(first_row, parameters.offset) - parameters.offset) / COLUMNS * COLUMNS;
    let of_head = (max(start, parameters.queries) - start + COLUMNS - 1u) / COLUMNS;
    let tiles = Tiles(
        start,
        max(of_head, 1u),
        of_head * parameters.group,
        batch,
        kv_head * parameters.group,
        first_row + ROWS - 1u,
    );

    let own = key_rows(batch, first_row, kv_head, ROWS, parameters.keys);
    for (var i = lane; i < ROWS * PACKS; i += THREADS) {
        halves[padded(i)] = fetch(2u, own, i);
        halves[ROWS * PITCH + padded(i)] = fetch(3u, own, i);
    }
    workgroupBarrier();  // keys and values are complete before they are loaded
    var kept: array<Left, HIGH * DEPTH>;
    for (var h = 0u; h < HIGH; h++) {  // unrolled
        for (var d = 0u; d < DEPTH; d++) {  // unrolled
            let place = (role * ROWS + base + 16u * h) * PITCH + 4u * d;
            kept[h * DEPTH + d] = coopLoadT<Left>(&halves[place], PITCH);
        }
    }
    workgroupBarrier();  // keys and values are loaded before tiles overwrite them
    var tile = following(tiles, 0u);
    var queries = fetch_tile(0u, tile_rows(tiles, tile), lane);
    var d_outputs = fetch_tile(1u, tile_rows(tiles, tile), lane);
    put_tile(&queries, 0u, lane);
    put_tile(&d_outputs, TILE, lane);
    workgroupBarrier();  // the first tile is complete before it is multiplied

    let column = 4u * (lane % 8u);  // the first of four queries that this invocation weighs
    var products: array<Sum, HIGH * WIDE>;
    var sums: array<Sum, HIGH * DEPTH>;
    var left: array<Left, HIGH>;
    var place_of_tile = 0u;
    while tile < tiles.count {
        let next = following(tiles, tile + 1u);
        queries = fetch_tile(0u, tile_rows(tiles, next), lane);
        d_outputs = fetch_tile(1u, tile_rows(tiles, next), lane);
        let first = tile_start(tiles, tile);
        let count = min(COLUMNS, parameters.queries - first);
        var of_queries: array<vec4<u32>, 4>;
        for (var i = 0u; i < 4u; i++) {
            let exists = column + i < count;
            let loaded = terms[tile_terms(tiles, tile) + select(0u, column + i, exists)];
            of_queries[i] = select(vec4<u32>(0u), loaded, exists);
        }
        for (var i = 0u; i < HIGH * WIDE; i++) {  // unrolled
            products[i] = Sum();
        }
        for (var d = 0u; d < DEPTH; d++) {  // unrolled
            for (var w = 0u; w < WIDE; w++) {  // unrolled
                let place = place_of_tile + role * TILE + 16u * w * PITCH + 4u * d;
                let right = coopLoad<Right>(&halves[place], PITCH);
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
        workgroupBarrier();  // products are complete, the last tile and its weights are read
        let other_place = 2u * TILE - place_of_tile;
        put_tile(&queries, other_place, lane);
        put_tile(&d_outputs, other_place + TILE, lane);
        let a = of_queries[0];
        let b = of_queries[1];
        let c = of_queries[2];
        let d = of_queries[3];
        let most = bitcast<vec4<f32>>(vec4<u32>(a.x, b.x, c.x, d.x)) * LOG2_E;
        let inverse = bitcast<vec4<f32>>(vec4<u32>(a.y, b.y, c.y, d.y));
        let delta = bitcast<vec4<f32>>(vec4<u32>(a.z, b.z, c.z, d.z));
        let first_seen = vec4<u32>(a.w, b.w, c.w, d.w);
        let columns = column + vec4<u32>(0u, 1u, 2u, 3u);
        let last_seen = first + parameters.offset + columns;
        let exists = columns < vec4<u32>(count);
        let several = exists & (last_seen != first_seen);
        for (var i = 0u; i < TURNS; i++) {
            let row = lane / 8u + 16u * i;
            let keys = vec4<u32>(first_row + row);
            let place = row * SCORE_PITCH + lane % 8u;
            // Rounding alone could put a score above the largest, and keys that are not seen.
            let exponent = scores[place] * (parameters.scale * LOG2_E) - most;
            let weight = rough_exp2(min(exponent, vec4<f32>(0.0))) * inverse;
            let d_score = weight * (scores[SCORES + place] - delta) * SPREAD;
            var seen = keys <= last_seen;
            if DOCUMENTS == 1u {
                seen = seen & (first_seen <= keys);
            }
            // ds is 0 for a query that sees one key alone: its weight is 1 whatever its score.
            let target_place = WEIGHTS_AT + row * WEIGHT_PITCH + lane % 8u;
            halves[target_place] = vec4<f16>(select(vec4<f32>(0.0), weight, seen & exists));
            halves[target_place + WEIGHTS] = vec4<f16>(select(vec4<f32>(0.0), d_score, seen & several));
        }
        workgroupBarrier();  // weights and the next tile are complete, products are read
        for (var w = 0u; w < WIDE; w++) {  // unrolled
            for (var h = 0u; h < HIGH; h++) {  // unrolled
                let place = WEIGHTS_AT + role * WEIGHTS + (base + 16u * h) * WEIGHT_PITCH + 4u * w;
                left[h] = coopLoadT<Left>(&halves[place], WEIGHT_PITCH);
            }
            for (var d = 0u; d < DEPTH; d++) {  // unrolled
                // p with do, ds with the queries
                let place = place_of_tile + (1u - role) * TILE + 16u * w * PITCH + 4u * d;
                let right = coopLoadT<Right>(&halves[place], PITCH);
                for (var h = 0u; h < HIGH; h++) {  // unrolled
                    sums[h * DEPTH + d] = coopMultiplyAdd(left[h], right, sums[h * DEPTH + d]);
                }
            }
        }
        place_of_tile = other_place;
        tile = next;
    }

    let result = key_rows(batch, first_row, kv_head, ROWS, parameters.capacity);
    for (var d = 0u; d < DEPTH; d++) {  // unrolled
        for (var h = 0u; h < HIGH; h++) {  // unrolled
            let place = role * SCORES + (base + 16u * h) * SCORE_PITCH + 4u * (d % 2u);
            let pitch = SCORE_PITCH;
            let matrix = sums[h * DEPTH + d];
            coopStoreT(matrix, &scores[place], pitch);
        }
        workgroupBarrier();  // the sums are complete; what is overwritten next was read a column before
        for (var i = lane % SUBGROUP; i < 4u * EACH; i += SUBGROUP) {
            let row = base + i / 4u;
            if row < result.count {
                let sum = scores[role * SCORES + row * SCORE_PITCH + 4u * (d % 2u) + i % 4u];
                let place = result.place + row * result.stride + 4u * d + i % 4u;
                if role == 0u {
                    d_value[place] = vec4<f16>(sum);
                } else {
                    d_key[place] = vec4<f16>(sum * (parameters.scale / SPREAD));
                }
            }
        }
    }
}
