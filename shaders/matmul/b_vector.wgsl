// Fetching the vectors of a panel of B, TILE_N columns by TILE_K of the depth, each at once: rows of its storage have
// a length that is a multiple of four, and it starts at one.
//
// Stored along the depth ([columns, depth], B_TRANSPOSED), the four of a vector follow each other along it; else along the columns. What lies
// outside the matrix, or from the depth `end` on, is 0. The load has no condition, which would be waited for: the first vector
// is read instead. If all tiles are WHOLE, there is nothing to check.

@group(0) @binding(2) var<storage, read> b: array<vec4<BStored>>;

// The vector that is loaded as number `load`: LANES vectors further for each.
fn fetch_b(walk: Walk, load: u32, end: u32) -> vec4<Panel> {
    let lines = select(0u, LANES / (TILE_K / 4u), B_TRANSPOSED == 1u);
    let depths = select(LANES / (TILE_N / 4u), 0u, B_TRANSPOSED == 1u);
    let line = walk.line + load * lines;
    let k = walk.k + load * depths;
    let place = walk.place + load * select(depths * parameters.columns, lines * parameters.depth, B_TRANSPOSED == 1u);
    if WHOLE == 1u {
        return vec4<Panel>(b[place / 4u]);
    }
    let exists = (line < parameters.columns) & (k < end);
    return select(vec4<Panel>(), vec4<Panel>(b[select(0u, place / 4u, exists)]), exists);
}
