// Rows are keys, and X of the columns' queries is multiplied: all on the scale of the chunk's largest spread, over 16, which
// leaves room below for queries whose X is smaller and above for sums of X . V.

const ROWS_ARE_QUERIES: bool = false;
const ROOM: f32 = 16.0;

fn state_slot(chunk: u32) -> u32 { return chunk + 1u; }

fn unit(cell: u32, chunk: u32) -> f32 {
    return rows[row_chunk_place(cell, chunk)] / ROOM;
}

fn row_terms(cell: u32, chunk: u32, t: u32, scale: f32) -> Row {
    let pull = rows[plane(WRITE, cell, t)] * (scale / unit(cell, chunk));
    let fit = 1.0 / power_above(max(1.0, pull));
    return Row(gate(TILE_SUFFIX, cell, t), gate(LOG_INPUT, cell, t), 0.0, parameters.scale * fit, pull * fit, fit);
}

fn column_terms(cell: u32, chunk: u32, j: u32) -> vec4<f32> {
    let spread = rows[plane(SPREAD, cell, j)] / unit(cell, chunk);
    return vec4<f32>(gate(TILE_PREFIX, cell, j), -rows[plane(LEVEL, cell, j)], column_along(cell, j), spread);
}

// What the sums are multiplied with, and how much of n's gradient is added.
fn row_result(cell: u32, chunk: u32, t: u32, row: Row, sum: f32, writes: bool) -> vec2<f32> {
    return vec2<f32>(unit(cell, chunk) / row.fit, rows[plane(WRITE, cell, t)]);
}
