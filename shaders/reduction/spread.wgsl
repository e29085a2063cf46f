// d_x[o, r, c] = factor · d_y[o, c]: the gradient of a sum over the middle dimension.
//
// d_y: [outer, inner]; d_x: [outer, n, inner], in `total` packs. One invocation writes one pack. `Source` is Pack where packs
// lie along `inner`, which is counted in packs then, and f32 where inner is 1 and packs lie along n.

struct Parameters {
    total: u32,
    block: u32,  // packs of [n, inner]
    inner: u32,
    factor: f32,
}

@group(0) @binding(0) var<uniform> parameters: Parameters;
@group(0) @binding(1) var<storage, read> d_y: array<Source>;
@group(0) @binding(2) var<storage, read_write> d_x: array<Pack>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let index = flat_workgroup(group, groups) * 256u + lane;
    if index < parameters.total {
        let outer = index / parameters.block;
        let source = outer * parameters.inner + index % parameters.inner;
        d_x[index] = Pack(parameters.factor * d_y[source]);
    }
}
