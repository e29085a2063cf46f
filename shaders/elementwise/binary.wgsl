// y = combine(a, b) with broadcasting.
//
// a, b: read through strides that are 0 where a size is repeated; y: contiguous, up to five dimensions.
// One invocation computes one element, in f32. `combine` is in elementwise/{add,subtract,multiply,divide}.wgsl, the types of
// what is read and written in elementwise/{full,half_right,half}.wgsl.

struct Parameters {
    count: u32,
    same_shape: u32,  // 1: no broadcasting, all three are read at the same place
    sizes_outer: vec4<u32>,
    size_inner: u32,
    a_inner: u32,
    b_inner: u32,
    a_outer: vec4<u32>,
    b_outer: vec4<u32>,
}

@group(0) @binding(0) var<uniform> parameters: Parameters;
@group(0) @binding(1) var<storage, read> a: array<Left>;
@group(0) @binding(2) var<storage, read> b: array<Right>;
@group(0) @binding(3) var<storage, read_write> y: array<Result>;

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
    if parameters.same_shape == 1u {
        y[index] = Result(combine(f32(a[index]), f32(b[index])));
        return;
    }
    var rest = index / parameters.size_inner;
    let inner = index % parameters.size_inner;
    var a_place = inner * parameters.a_inner;
    var b_place = inner * parameters.b_inner;
    for (var dimension = 3i; dimension >= 0i; dimension--) {
        let size = parameters.sizes_outer[dimension];
        let at = rest % size;
        rest /= size;
        a_place += at * parameters.a_outer[dimension];
        b_place += at * parameters.b_outer[dimension];
    }
    y[index] = Result(combine(f32(a[a_place]), f32(b[b_place])));
}
