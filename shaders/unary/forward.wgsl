// y = value(x), element by element.
//
// x, y: `count` packs. One invocation computes one pack. `value` is in unary/{sigmoid,tanh,..}.wgsl, with the derivative
// and what is stable about it; `constant` is the operation's parameter, if it has one.

struct Parameters {
    count: u32,
    constant: f32,
    whole: u32,         // whether the constant is a whole number; unary/power.wgsl says how
    infinity: f32,
    not_a_number: f32,
}

@group(0) @binding(0) var<uniform> parameters: Parameters;
@group(0) @binding(1) var<storage, read> x: array<Pack>;
@group(0) @binding(2) var<storage, read_write> y: array<Pack>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let index = flat_workgroup(group, groups) * 256u + lane;
    if index < parameters.count {
        y[index] = value_pack(x[index]);
    }
}
