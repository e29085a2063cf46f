// C = the sum, in order, of the products over the parts of the depth; accumulate = 1: that is added to what C holds.
//
// parts: [parts, count]; c: [count] from offset on. One invocation adds up one element. Fixed order: the same bits every time.

struct Parameters {
    count: u32,
    parts: u32,
    offset: u32,
    accumulate: u32,
}

@group(0) @binding(0) var<uniform> parameters: Parameters;
@group(0) @binding(1) var<storage, read> sums: array<f32>;
@group(0) @binding(2) var<storage, read_write> c: array<f32>;

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
    var sum = sums[index];
    for (var part = 1u; part < parameters.parts; part++) {
        sum += sums[part * parameters.count + index];
    }
    let at = parameters.offset + index;
    c[at] = select(sum, sum + c[at], parameters.accumulate == 1u);
}
