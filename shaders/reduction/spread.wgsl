// d_x[r, c] = factor · d_y[r]: the gradient of reduction/sum.wgsl.
//
// d_y: [rows]; d_x: `total` packs in rows of `packs`. One invocation writes one pack.

struct Parameters {
    packs: u32,
    total: u32,
    factor: f32,
}

@group(0) @binding(0) var<uniform> parameters: Parameters;
@group(0) @binding(1) var<storage, read> d_y: array<f32>;
@group(0) @binding(2) var<storage, read_write> d_x: array<Pack>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let index = flat_workgroup(group, groups) * 256u + lane;
    if index < parameters.total {
        d_x[index] = Pack(parameters.factor * d_y[index / parameters.packs]);
    }
}
