// Rows are read four columns at once, for a head_dim that is a multiple of 4. `column` is one too. Loads have no conditions,
// which would be waited for: for what does not exist the first vector is read, and 0 taken.

alias Lane = vec4<Element>;

fn load_left(which: u32, row: u32, column: u32) -> vec4<f32> {
    let exists = (row < left.count) & (column < parameters.head_dim);
    let place = select(0u, (left.place + row * left.stride + column) / 4u, exists);
    return select(vec4<f32>(0.0), vec4<f32>(read_left(which, place)), exists);
}

fn load_right(which: u32, row: u32, column: u32) -> vec4<f32> {
    let exists = (row < right.count) & (column < parameters.head_dim);
    let place = select(0u, (right.place + row * right.stride + column) / 4u, exists);
    return select(vec4<f32>(0.0), vec4<f32>(read_right(which, place)), exists);
}
