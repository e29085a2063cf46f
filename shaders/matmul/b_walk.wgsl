// Where an invocation's first vector of a panel of B is, and where that of a panel further on.
//
// Stored along the depth ([columns, depth], B_TRANSPOSED), the four of a vector follow each other along it; else along the columns.

fn start_b(lane: u32, first: u32, depth: u32, base: u32) -> Walk {
    if B_TRANSPOSED == 1u {
        let line = first + lane / (TILE_K / 4u);
        let k = depth + lane % (TILE_K / 4u) * 4u;
        return Walk(line, k, base + line * parameters.depth + k);
    }
    let line = first + lane % (TILE_N / 4u) * 4u;
    let k = depth + lane / (TILE_N / 4u);
    return Walk(line, k, base + k * parameters.columns + line);
}

fn advance_b(walk: Walk, panels: u32) -> Walk {
    let further = select(TILE_K * parameters.columns, TILE_K, B_TRANSPOSED == 1u);
    return Walk(walk.line, walk.k + panels * TILE_K, walk.place + panels * further);
}
