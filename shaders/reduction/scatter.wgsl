// d_x[places[i]] = d_y[i]: the gradient of a maximum, where reduction/zero.wgsl has written zeros before.
//
// places, d_y: `count` elements; d_x: `total`. One invocation writes one element. No place occurs twice, since each belongs
// to one maximum.

struct Parameters {
    count: u32,
    total: u32,
}

@group(0) @binding(0) var<uniform> parameters: Parameters;
@group(0) @binding(1) var<storage, read> places: array<u32>;
@group(0) @binding(2) var<storage, read> d_y: array<f32>;
@group(0) @binding(3) var<storage, read_write> d_x: array<f32>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let index = flat_workgroup(group, groups) * 256u + lane;
    if index < parameters.count && places[index] < parameters.total {
        d_x[places[index]] = d_y[index];
    }
}
