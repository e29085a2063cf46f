// exp(sum of ln f over j < r <= t, + ln of input gate j - m_t) for tiles of queries t and keys j, where j <= t.
//
// The sum over a segment is put together from pieces, never from differences: the rest of the key's tile of 32, whole
// tiles, the query's tile up to the query. Within one tile it is added up term by term.

fn gate(index: u32, cell: u32, t: u32) -> f32 {
    return gates[plane(index, cell, t)];
}

// The sum over whole tiles between the tiles of j and t, numbered inside the chunk that starts at `first`.
fn between(cell: u32, first: u32, key_tile: u32, query_tile: u32) -> f32 {
    var sum = 0.0;
    for (var tile = key_tile + 1u; tile < query_tile; tile++) {
        sum += gate(TILE_PREFIX, cell, first + tile * TILE + TILE - 1u);
    }
    return sum;
}

// Segment sums from key j to four queries from t on, all in one tile; positions inside the chunk, `last` its last one.
// What lies outside the chunk or has j > t is not used by the caller.
fn sums_to_queries(cell: u32, first: u32, last: u32, j: u32, t: u32) -> vec4<f32> {
    var result = vec4<f32>(0.0);
    if j / TILE == t / TILE {
        var sum = 0.0;
        for (var r = j + 1u; r <= min(t + 3u, last); r++) {
            sum += gate(LOG_FORGET, cell, first + r);
            if r >= t {
                result[r - t] = sum;
            }
        }
        return result;
    }
    let start = between(cell, first, j / TILE, t / TILE) + gate(TILE_SUFFIX, cell, first + min(j, last));
    for (var at = 0u; at < 4u; at++) {
        result[at] = start + gate(TILE_PREFIX, cell, first + min(t + at, last));
    }
    return result;
}

// Segment sums from four keys from j on, all in one tile, to query t.
fn sums_from_keys(cell: u32, first: u32, last: u32, j: u32, t: u32) -> vec4<f32> {
    var result = vec4<f32>(0.0);
    if j / TILE == t / TILE {
        var sum = 0.0;
        for (var r = min(t, last); r > j; r--) {
            sum += gate(LOG_FORGET, cell, first + r);
            if r <= j + 4u {
                result[r - 1u - j] = sum;
            }
        }
        return result;
    }
    let end = between(cell, first, j / TILE, t / TILE) + gate(TILE_PREFIX, cell, first + min(t, last));
    for (var at = 0u; at < 4u; at++) {
        result[at] = end + gate(TILE_SUFFIX, cell, first + min(j + at, last));
    }
    return result;
}
