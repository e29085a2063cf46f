// Rows are queries, X of which is multiplied: what the scores of a row have in common, on the scale of its X.

const ROWS_ARE_QUERIES: bool = true;

fn state_slot(chunk: u32) -> u32 { return chunk; }

fn row_terms(cell: u32, chunk: u32, t: u32, scale: f32) -> Row {
    let pull = rows[plane(PULL, cell, t)] * scale;
    let fit = 1.0 / power_above(max(1.0, pull));
    let level = rows[plane(LEVEL, cell, t)];
    let along = rows[plane(ALONG_STAGED, cell, t)];
    return Row(gate(TILE_PREFIX, cell, t), -level, along, parameters.scale * fit, pull * fit, fit);
}

fn column_terms(cell: u32, chunk: u32, j: u32) -> vec4<f32> {
    return vec4<f32>(gate(TILE_SUFFIX, cell, j), gate(LOG_INPUT, cell, j), 0.0, 1.0);
}

// What the sums are multiplied with, and how much of n's gradient is added.
fn row_result(cell: u32, chunk: u32, t: u32, row: Row, sum: f32, writes: bool) -> vec2<f32> {
    return vec2<f32>(
        rows[plane(SPREAD, cell, t)] / row.fit,
        rows[plane(READ, cell, t)] * rows[plane(ALONG, cell, t)],
    );
}
