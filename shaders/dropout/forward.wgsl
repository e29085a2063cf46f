// y = x · scale where an element is kept, 0 where it is dropped; the same kernel takes dy to dx.
//
// x, y: [elements]. Element i is dropped if word i % 4 of Philox4x32-10, with counter (i / 4, 0, 0, 0) and the seed as key, is
// below the threshold: the mask depends on the seed and the place alone and is not stored. One invocation computes the four
// elements of one counter. `all_dropped`: the threshold is 2^32, one more than its word holds.

struct Parameters {
    elements: u32,
    threshold: u32,
    all_dropped: u32,
    scale: f32,
    seed_low: u32,
    seed_high: u32,
}

@group(0) @binding(0) var<uniform> parameters: Parameters;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let counter = flat_workgroup(group, groups) * 256u + lane;
    let first = counter * 4u;
    let words = philox(vec4<u32>(counter, 0u, 0u, 0u), vec2<u32>(parameters.seed_low, parameters.seed_high));
    for (var i = 0u; i < 4u; i++) {
        if first + i < parameters.elements {
            if words[i] < parameters.threshold || parameters.all_dropped == 1u {
                y[first + i] = 0.0;
            } else {
                y[first + i] = x[first + i] * parameters.scale;
            }
        }
    }
}
