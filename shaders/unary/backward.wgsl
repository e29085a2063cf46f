// d_x = d_y · slope(saved), element by element; saved is x or y, whichever makes the derivative cheaper.
//
// saved, d_y, d_x: `count` packs. One invocation computes one pack. `slope` is in unary/{sigmoid,tanh,..}.wgsl.

struct Parameters {
    count: u32,
    constant: f32,
    whole: u32,         // whether the constant is a whole number; unary/power.wgsl says how
    infinity: f32,
    not_a_number: f32,
}

@group(0) @binding(0) var<uniform> parameters: Parameters;
@group(0) @binding(1) var<storage, read> saved: array<Pack>;
@group(0) @binding(2) var<storage, read> d_y: array<Pack>;
@group(0) @binding(3) var<storage, read_write> d_x: array<Pack>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let index = flat_workgroup(group, groups) * 256u + lane;
    if index < parameters.count {
        d_x[index] = d_y[index] * slope_pack(saved[index]);
    }
}
