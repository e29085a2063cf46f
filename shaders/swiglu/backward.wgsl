// The gradients of y = silu(gate) · up. With g = gate and s = sigmoid(g):
//   d_gate = d_y · up · s · (1 + g · sigmoid(-g)), d_up = d_y · g · s
// where 1 - s would cancel for sigmoid(-g).
//
// d_y: `count` packs; where the inputs are read is in swiglu/separate.wgsl or swiglu/packed.wgsl, where the gradients go
// in swiglu/separate_gradients.wgsl or swiglu/packed_gradients.wgsl. One invocation computes one pack of both gradients, in
// f32; tensors may be f16.

struct Parameters {
    count: u32,
    packs: u32,  // packs in a row of d_y
}

@group(0) @binding(0) var<uniform> parameters: Parameters;
@group(0) @binding(1) var<storage, read> d_y: array<Stored>;

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
    let s = sigmoid_pack(g);
    let upstream = Pack(d_y[index]);
    store(index, upstream * up_at(index) * s * (1.0 + g * sigmoid_pack(-g)), upstream * g * s);
}
