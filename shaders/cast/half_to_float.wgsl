// f32 from f16, which lie two in a word, the earlier one in the low half.
//
// x: (count + 1) / 2 words; y: the bits of `count` f32. One invocation reads one word.

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
    let word = x[index];
    y[first] = float_of(word & 0xffffu);
    if first + 1u < parameters.count {
        y[first + 1u] = float_of(word >> 16u);
    }
}
