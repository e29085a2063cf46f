// Rows are read four columns at once, for a head_dim that is a multiple of 4. `column` is one too.

alias Lane = vec4<Element>;

fn load_left(which: u32, row: u32, column: u32) -> vec4<f32> {
    if row < left.count && column < parameters.head_dim {
        return vec4<f32>(read_left(which, (left.place + row * left.stride + column) / 4u));
    }
    return vec4<f32>(0.0);
}

fn load_right(which: u32, row: u32, column: u32) -> vec4<f32> {
    if row < right.count && column < parameters.head_dim {
        return vec4<f32>(read_right(which, (right.place + row * right.stride + column) / 4u));
    }
    return vec4<f32>(0.0);
}
