// f16 from f32 or u32: two elements a word, the earlier one in the low half. Where the count is odd the last high half is 0.
//
// x: `count` words; y: (count + 1) / 2 words. One invocation writes one word. `float_bits`, in cast/from_float.wgsl or
// cast/from_index.wgsl, makes f32 bits of an element of x.

struct Parameters {
    count: u32,
}

@group(0) @binding(0) var<uniform> parameters: Parameters;
@group(0) @binding(1) var<storage, read> x: array<u32>;
@group(0) @binding(2) var<storage, read_write> y: array<u32>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let index = flat_workgroup(group, groups) * 256u + lane;
    let first = 2u * index;
    if first >= parameters.count {
        return;
    }
    var word = half_of(float_bits(x[first]));
    if first + 1u < parameters.count {
        word |= half_of(float_bits(x[first + 1u])) << 16u;
    }
    y[index] = word;
}
