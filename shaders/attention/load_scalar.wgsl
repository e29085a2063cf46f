// Rows are read column by column, for any head_dim.

alias Lane = Element;

fn load_left(which: u32, row: u32, column: u32) -> vec4<f32> {
    var result = vec4<f32>(0.0);
    if row < left.count {
        let place = left.place + row * left.stride + column;
        let width = parameters.head_dim;
        if column < width { result.x = f32(read_left(which, place)); }
        if column + 1u < width { result.y = f32(read_left(which, place + 1u)); }
        if column + 2u < width { result.z = f32(read_left(which, place + 2u)); }
        if column + 3u < width { result.w = f32(read_left(which, place + 3u)); }
    }
    return result;
}

fn load_right(which: u32, row: u32, column: u32) -> vec4<f32> {
    var result = vec4<f32>(0.0);
    if row < right.count {
        let place = right.place + row * right.stride + column;
        let width = parameters.head_dim;
        if column < width { result.x = f32(read_right(which, place)); }
        if column + 1u < width { result.y = f32(read_right(which, place + 1u)); }
        if column + 2u < width { result.z = f32(read_right(which, place + 2u)); }
        if column + 3u < width { result.w = f32(read_right(which, place + 3u)); }
    }
    return result;
}
