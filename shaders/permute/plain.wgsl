// y is x with its dimensions in another order, element by element.
//
// An element is a word of 32 bits of any type, or four of them where the last dimension stays the last and divides by 4.
// One invocation writes one element; neighbours write neighbours.

struct Parameters {
    sizes: vec4<u32>,    // of y's dimensions but the last, outermost first
    strides: vec4<u32>,  // of the same dimensions in x
    size_last: u32,
    stride_last: u32,
    count: u32,
}

@group(0) @binding(0) var<uniform> parameters: Parameters;
@group(0) @binding(1) var<storage, read> x: array<Words>;
@group(0) @binding(2) var<storage, read_write> y: array<Words>;

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
    var place = index % parameters.size_last * parameters.stride_last;
    var rest = index / parameters.size_last;
    for (var at = 4u; at > 0u && rest > 0u; at--) {
        place += rest % parameters.sizes[at - 1u] * parameters.strides[at - 1u];
        rest /= parameters.sizes[at - 1u];
    }
    y[index] = x[place];
}
