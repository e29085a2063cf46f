// y = silu(gate) · up, silu(g) = g · sigmoid(g).
//
// y: `count` packs; where gate and up are read is in swiglu/separate.wgsl or swiglu/packed.wgsl. One invocation computes
// one pack, in f32; tensors may be f16. sigmoid overflows nowhere, and far below 0 the product goes to 0.

struct Parameters {
    count: u32,
    packs: u32,  // packs in a row of y
}

@group(0) @binding(0) var<uniform> parameters: Parameters;
@group(0) @binding(1) var<storage, read_write> y: array<Stored>;

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
    let g = gate_at(index);
    y[index] = Stored(g * sigmoid_pack(g) * up_at(index));
}
