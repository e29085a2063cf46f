// Four neighbours of operand a at once: rows of its storage have a length that is a multiple of four, and it starts at one.

@group(0) @binding(1) var<storage, read> a: array<vec4<f32>>;

// Elements first .. first + 3 of the stored row at `row_start`, which has `length` elements; zeros beyond it.
fn load_a(row_start: u32, first: u32, length: u32) -> vec4<f32> {
    if first >= length {
        return vec4<f32>();
    }
    return a[(row_start + first) / 4u];
}
