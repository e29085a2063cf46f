// <C, dC> + <n, dn> at every border of chunks, then the sums of the absolute values of their terms:
// inner [2, chunks + 1, cells].
//
// One workgroup computes one of them, of one cell. Invocation i adds the terms i, i + 256, ... in order, then the 256 partial sums are
// added pairwise in a fixed tree.
// Barriers: each level of the tree is complete before the next reads it.

@group(0) @binding(1) var<storage, read> states: array<f32>;
@group(0) @binding(2) var<storage, read> d_states: array<f32>;
@group(0) @binding(3) var<storage, read_write> inner: array<f32>;

var<workgroup> partial: array<vec2<f32>, 256>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let index = flat_workgroup(group, groups);
    if index >= (parameters.chunks + 1u) * parameters.cells {
        return;
    }
    let cell = index % parameters.cells;
    let slot = index / parameters.cells;
    let memory = memory_start(slot, cell);
    let normalizer = normalizer_start(slot, cell);
    var sum = vec2<f32>(0.0);
    for (var at = lane; at < parameters.qk_dim * parameters.v_dim; at += 256u) {
        let term = states[memory + at] * d_states[memory + at];
        sum += vec2<f32>(term, abs(term));
    }
    for (var at = lane; at < parameters.qk_dim; at += 256u) {
        let term = states[normalizer + at] * d_states[normalizer + at];
        sum += vec2<f32>(term, abs(term));
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
        inner[index] = partial[0].x;
        inner[(parameters.chunks + 1u) * parameters.cells + index] = partial[0].y;
    }
}
