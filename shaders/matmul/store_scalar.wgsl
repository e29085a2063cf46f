// Results are stored one by one, for rows of any length.

@group(0) @binding(3) var<storage, read_write> c: array<CStored>;

fn stored(at: u32) -> f32 {
    return f32(c[at]);
}

// Four neighbours in a row of the matrix at `place`; what sticks out is dropped.
fn store(place: u32, row: u32, column: u32, sums: vec4<f32>) {
    if row >= parameters.rows {
        return;
    }
    let at = place + row * parameters.columns + column;
    for (var j = 0u; j < 4u; j++) {
        if column + j < parameters.columns {
            c[at + j] = CStored(epilogue(sums[j], at + j, column + j));
        }
    }
}
