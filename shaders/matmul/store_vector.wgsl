// Results are stored four at a time: rows have a length that is a multiple of four, and C starts at one.

@group(0) @binding(3) var<storage, read_write> c: array<vec4<CStored>>;

fn stored(at: u32) -> f32 {
    return f32(c[at / 4u][at % 4u]);
}

// Four neighbours in a row of the matrix at `place`; what sticks out is dropped.
fn store(place: u32, row: u32, column: u32, sums: vec4<f32>) {
    if WHOLE == 0u {
        if row >= parameters.rows {
            return;
        }
        if column >= parameters.columns {
            return;
        }
    }
    let at = place + row * parameters.columns + column;
    c[at / 4u] = vec4<CStored>(vec4<f32>(
        epilogue(sums.x, at, column),
        epilogue(sums.y, at + 1u, column + 1u),
        epilogue(sums.z, at + 2u, column + 2u),
        epilogue(sums.w, at + 3u, column + 3u),
    ));
}
