// Where an invocation's first vector of a panel of A is, and where that of a panel further on.
//
// Stored along the depth ([rows, depth]), the four of a vector follow each other along it; else along the rows.

fn start_a(lane: u32, first: u32, depth: u32, base: u32) -> Walk {
    if A_TRANSPOSED == 0u {
        let line = first + lane / (TILE_K / 4u);
        let k = depth + lane % (TILE_K / 4u) * 4u;
        return Walk(line, k, base + line * parameters.depth + k);
    }
    let line = first + lane % (TILE_M / 4u) * 4u;
    let k = depth + lane / (TILE_M / 4u);
    return Walk(line, k, base + k * parameters.rows + line);
}

fn advance_a(walk: Walk, panels: u32) -> Walk {
    let further = select(TILE_K * parameters.rows, TILE_K, A_TRANSPOSED == 0u);
    return Walk(walk.line, walk.k + panels * TILE_K, walk.place + panels * further);
}
