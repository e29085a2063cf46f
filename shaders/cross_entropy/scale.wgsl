// y = x · factor[0] · rest: the saved gradients times the loss's, without what they were boosted by.
//
// x, y: [count]; factor: [1]. One invocation computes four elements, 256 apart.

const LANES: u32 = 256u;
const ELEMENTS: u32 = 4u;  // a lane

struct Parameters {
    count: u32,
    rest: f32,
}

@group(0) @binding(0) var<uniform> parameters: Parameters;
@group(0) @binding(1) var<storage, read> x: array<Element>;
@group(0) @binding(2) var<storage, read> factor: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<Element>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let begin = flat_workgroup(group, groups) * LANES * ELEMENTS + lane;
    for (var element = 0u; element < ELEMENTS; element++) {
        let place = begin + element * LANES;
        if place < parameters.count {
            y[place] = Element(f32(x[place]) * (factor[0] * parameters.rest));
        }
    }
}
