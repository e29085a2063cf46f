// The state's gradient from the last chunk to the first: dC = exp(g + m - m') dC' + (s exp(b + m - m_t) Q)^T X, with
// X = dH / D; dn likewise with y for X.

@group(0) @binding(1) var<storage, read> query: array<Element>;
@group(0) @binding(2) var<storage, read> d_h: array<f32>;
@group(0) @binding(3) var<storage, read> gates: array<f32>;
@group(0) @binding(4) var<storage, read> rows: array<f32>;
@group(0) @binding(5) var<storage, read> borders: array<f32>;
@group(0) @binding(6) var<storage, read_write> states: array<f32>;

const BACKWARD: bool = true;

fn begin(cell: u32, writes: bool) {}

fn carry(cell: u32, chunk: u32, writes: bool) -> f32 {
    let before = borders[stabilizer_place(chunk, cell)];
    let after = borders[stabilizer_place(chunk + 1u, cell)];
    return safe_exp(gates[chunk_place(cell, chunk)] + before - after);
}

fn row_weight(cell: u32, t: u32) -> f32 {
    return rows[plane(READ, cell, t)];
}

fn column_weight(cell: u32, t: u32) -> f32 {
    return rows[plane(INVERSE, cell, t)];
}

fn normalizer_weight(cell: u32, t: u32) -> f32 {
    return rows[plane(ALONG, cell, t)];
}

fn left(place: u32) -> f32 {
    return f32(query[place]);
}

fn right(place: u32) -> f32 {
    return d_h[place];
}
