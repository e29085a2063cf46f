// n' = forget * n + input * k of one position, and 1/D with D = max(|s n'.q|, exp(-m')) + epsilon, or D = 1 if NORMALIZE = 0.
//
// query, key, normalizer, next: [cells, dqk]; factors: see mlstm/step_gates.wgsl. One workgroup computes one cell;
// invocation i the elements i, i + 256, ..., whose partial sums are added pairwise in a fixed tree.
// Barriers: each level of the tree is complete before the next reads it.

@group(0) @binding(1) var<storage, read> query: array<Element>;
@group(0) @binding(2) var<storage, read> key: array<Element>;
@group(0) @binding(3) var<storage, read> normalizer: array<f32>;
@group(0) @binding(4) var<storage, read_write> factors: array<f32>;
@group(0) @binding(5) var<storage, read_write> next: array<f32>;

var<workgroup> partial: array<f32, 256>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let cell = flat_workgroup(group, groups);
    if cell >= parameters.cells {
        return;
    }
    let forget = factors[cell * 4u];
    let input = factors[cell * 4u + 1u];
    var sum = 0.0;
    for (var at = lane; at < parameters.qk_dim; at += 256u) {
        let place = cell * parameters.qk_dim + at;
        let n = forget * normalizer[place] + input * f32(key[place]);
        next[place] = n;
        sum += parameters.scale * f32(query[place]) * n;
    }
    partial[lane] = sum;
    workgroupBarrier();
    for (var half = 128u; half > 0u; half /= 2u) {
        if lane < half {
            partial[lane] += partial[lane + half];
        }
        workgroupBarrier();
    }
    if lane == 0u {
        var divisor = 1.0;
        if NORMALIZE == 1u {
            divisor = max(abs(partial[0]), factors[cell * 4u + 2u]) + parameters.epsilon;
        }
        factors[cell * 4u + 3u] = 1.0 / divisor;
    }
}
