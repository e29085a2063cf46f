// Four neighbours of operand b one by one, for rows of any length.

@group(0) @binding(2) var<storage, read> b: array<f32>;

// Elements first .. first + 3 of the stored row at `row_start`, which has `length` elements; zeros beyond it.
fn load_b(row_start: u32, first: u32, length: u32) -> vec4<f32> {
    var value = vec4<f32>();
    for (var i = 0u; i < 4u; i++) {
        if first + i < length {
            value[i] = b[row_start + first + i];
        }
    }
    return value;
}
