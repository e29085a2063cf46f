// What the backward needs of each query row: terms = (m, 1 / z, delta, first_key), the first three by their bits, with m
// and z as in forward.wgsl and delta[t] = do[t] . o[t], which is sum_j p[t, j] (do[t] . v[j]). So a later kernel has all of
// a row in one binding. Layouts: attention/sizes.wgsl.
//
// 32 invocations a row and 8 rows a workgroup: each adds every 32nd product, then the 32 sums are added in a fixed tree.

@group(0) @binding(1) var<storage, read> output: array<Element>;
@group(0) @binding(2) var<storage, read> d_output: array<Element>;
@group(0) @binding(3) var<storage, read> normalizers: array<vec2<f32>>;
@group(0) @binding(4) var<storage, read_write> terms: array<vec4<u32>>;

var<workgroup> partial: array<f32, 256>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = flat_workgroup(group, groups) * 8u + lane / 32u;  // in [batch, queries, heads]
    let exists = row < parameters.batch_heads * parameters.queries;
    var sum = 0.0;
    if exists {
        for (var column = lane % 32u; column < parameters.head_dim; column += 32u) {
            let place = row * parameters.head_dim + column;
            sum += f32(output[place]) * f32(d_output[place]);
        }
    }
    partial[lane] = sum;
    workgroupBarrier();  // partial is complete before others are read
    for (var half = 16u; half > 0u; half /= 2u) {
        if lane % 32u < half {
            partial[lane] += partial[lane + half];
        }
        workgroupBarrier();  // this level is complete before the next reads it
    }
    if exists && lane % 32u == 0u {
        let head = row % parameters.heads;
        let time = (row / parameters.heads) % parameters.queries;
        let batch = row / parameters.heads / parameters.queries;
        let place = (batch * parameters.heads + head) * parameters.queries + time;
        let normalizer = normalizers[place];
        terms[place] = vec4<u32>(
            bitcast<u32>(normalizer.x),
            bitcast<u32>(1.0 / normalizer.y),
            bitcast<u32>(partial[lane]),
            first_key_of(batch, time),
        );
    }
}
