// y = combine(a, b) of tensors of one shape, whose number of elements is a multiple of 4.
//
// a, b, y: `count` vectors of four elements. One invocation reads one of each input and writes one, in f32. `combine` is in
// elementwise/{add,subtract,multiply,divide}.wgsl, the types of what is read and written in
// elementwise/{full,half_right,half}.wgsl.

struct Parameters {
    count: u32,
}

@group(0) @binding(0) var<uniform> parameters: Parameters;
@group(0) @binding(1) var<storage, read> a: array<vec4<Left>>;
@group(0) @binding(2) var<storage, read> b: array<vec4<Right>>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4<Result>>;

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
    let left = vec4<f32>(a[index]);
    let right = vec4<f32>(b[index]);
    y[index] = vec4<Result>(
        vec4<f32>(
            combine(left.x, right.x), combine(left.y, right.y), combine(left.z, right.z), combine(left.w, right.w)
        )
    );
}
