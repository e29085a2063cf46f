// How x, y and the index lie, padded in front to five dimensions: sizes of x and y, and how far from one index to the next
// along each dimension of y (0 where it is the same).

struct Parameters {
    elements: u32,   // of what the kernel writes
    dimension: u32,  // in which the index stands
    not_a_number: u32,  // its bits
    operation: u32,     // for the fault record
    x_inner: u32,  // of the last dimension; the other four are in the vectors
    y_inner: u32,
    index_inner: u32,
    x_outer: vec4<u32>,
    y_outer: vec4<u32>,
    index_outer: vec4<u32>,
}

@group(0) @binding(0) var<uniform> parameters: Parameters;

fn x_size(dimension: u32) -> u32 {
    if dimension == 4u {
        return parameters.x_inner;
    }
    return parameters.x_outer[dimension];
}

fn y_size(dimension: u32) -> u32 {
    if dimension == 4u {
        return parameters.y_inner;
    }
    return parameters.y_outer[dimension];
}

fn index_stride(dimension: u32) -> u32 {
    if dimension == 4u {
        return parameters.index_inner;
    }
    return parameters.index_outer[dimension];
}
