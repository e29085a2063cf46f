// Rotary position embedding, half rotation: for each pair (x[j], x[j + D/2]) and its angle
//   y[j] = x[j] cos - x[j + D/2] sin,  y[j + D/2] = x[j + D/2] cos + x[j] sin;
// with sign = -1 the rotation back, which is the gradient.
//
// x, y: [batch, sequence, heads, D]; tables: [positions, D], the cosines of a position, then its sines, made on the host
// since sin and cos of WGSL are coarse for large angles. `Lane` is f32, or vec4<f32> where D/2 is a multiple of 4; all
// lengths count lanes. x and y are `Stored`, the same in f16 or f32; tables and arithmetic are f32. One invocation rotates one lane of pairs: neighbours read and write neighbouring places.

struct Parameters {
    count: u32,  // lanes of pairs
    sequence: u32,
    heads: u32,
    half: u32,  // lanes in D/2
    first_row: u32,  // the row of the tables for the first position of the sequence
    sign: f32,
}

@group(0) @binding(0) var<uniform> parameters: Parameters;
@group(0) @binding(1) var<storage, read> x: array<Stored>;
@group(0) @binding(2) var<storage, read> tables: array<Lane>;
@group(0) @binding(3) var<storage, read_write> y: array<Stored>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let index = flat_workgroup(group, groups) * 256u + lane;
    if index >= parameters.count {
        return;
    }
    let half = parameters.half;
    let row = index / half;
    let j = index % half;
    let time = (row / parameters.heads) % parameters.sequence;
    let angle = (parameters.first_row + time) * 2u * half + j;
    let cosine = tables[angle];
    let sine = parameters.sign * tables[angle + half];
    let place = row * 2u * half + j;
    let low = Lane(x[place]);
    let high = Lane(x[place + half]);
    y[place] = Stored(low * cosine - high * sine);
    y[place + half] = Stored(high * cosine + low * sine);
}
