// Fetching the vectors of a panel of A, TILE_M rows by TILE_K of the depth, one element after the other.
//
// Stored along the depth ([rows, depth]), the four of a vector follow each other along it; else along the rows. What lies
// outside the matrix, or from the depth `end` on, is 0.

@group(0) @binding(1) var<storage, read> a: array<AStored>;

// The vector that is loaded as number `load`: LANES vectors further for each.
fn fetch_a(walk: Walk, load: u32, end: u32) -> vec4<Panel> {
    let lines = select(0u, LANES / (TILE_K / 4u), A_TRANSPOSED == 0u);
    let depths = select(LANES / (TILE_M / 4u), 0u, A_TRANSPOSED == 0u);
    let line = walk.line + load * lines;
    let k = walk.k + load * depths;
    let place = walk.place + load * select(depths * parameters.rows, lines * parameters.depth, A_TRANSPOSED == 0u);
    let lines_left = parameters.rows - min(line, parameters.rows);
    let depth_left = end - min(k, end);
    let inside = select(select(0u, lines_left, depth_left > 0u), select(0u, depth_left, lines_left > 0u), A_TRANSPOSED == 0u);
    var value = vec4<Panel>();
    for (var i = 0u; i < 4u; i++) {
        if i < inside {
            value[i] = Panel(a[place + i]);
        }
    }
    return value;
}
