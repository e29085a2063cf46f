// Four neighbours of operand b at once: rows of its storage have a length that is a multiple of four, and it starts at one.

@group(0) @binding(2) var<storage, read> b: array<vec4<f32>>;

// Elements first .. first + 3 of the stored row at `row_start`, which has `length` elements; zeros beyond it.
fn load_b(row_start: u32, first: u32, length: u32) -> vec4<f32> {
    if first >= length {
        return vec4<f32>();
    }
    return b[(row_start + first) / 4u];
}
