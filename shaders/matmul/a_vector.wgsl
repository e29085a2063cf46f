// Fetching the vectors of a panel of A, TILE_M rows by TILE_K of the depth, each at once: rows of its storage have
// a length that is a multiple of four, and it starts at one.
//
// Stored along the depth ([rows, depth]), the four of a vector follow each other along it; else along the rows. What lies
// outside the matrix, or from the depth `end` on, is 0. The load has no condition, which would be waited for: the first vector
// is read instead. If all tiles are WHOLE, there is nothing to check.

@group(0) @binding(1) var<storage, read> a: array<vec4<AStored>>;

// The vector that is loaded as number `load`: LANES vectors further for each.
fn fetch_a(walk: Walk, load: u32, end: u32) -> vec4<Panel> {
    let lines = select(0u, LANES / (TILE_K / 4u), A_TRANSPOSED == 0u);
    let depths = select(LANES / (TILE_M / 4u), 0u, A_TRANSPOSED == 0u);
    let line = walk.line + load * lines;
    let k = walk.k + load * depths;
    let place = walk.place + load * select(depths * parameters.rows, lines * parameters.depth, A_TRANSPOSED == 0u);
    if WHOLE == 1u {
        return vec4<Panel>(a[place / 4u]);
    }
    let exists = (line < parameters.rows) & (k < end);
    return select(vec4<Panel>(), vec4<Panel>(a[select(0u, place / 4u, exists)]), exists);
}
