// For each border of chunks the scale of the state: a power of two that is at least its largest element, and 2^-60.
//
// states: see mlstm/layout.wgsl. One workgroup computes one border of one cell. Invocation i looks at the vectors
// i, i + 256, ..., then the 256 maxima are compared pairwise.
// Barriers: each level of the tree is complete before the next reads it.

@group(0) @binding(1) var<storage, read_write> states: array<vec4<f32>>;

var<workgroup> highest: array<f32, 256>;

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
    let memory = memory_start(slot, cell) / 4u;
    var most = 0.0;
    for (var at = lane; at < parameters.qk_dim * parameters.v_dim / 4u; at += 256u) {
        let sizes = abs(states[memory + at]);
        most = max(most, max(max(sizes.x, sizes.y), max(sizes.z, sizes.w)));
    }
    highest[lane] = most;
    workgroupBarrier();
    for (var half = 128u; half > 0u; half /= 2u) {
        if lane < half {
            highest[lane] = max(highest[lane], highest[lane + half]);
        }
        workgroupBarrier();
    }
    if lane == 0u {
        let place = scale_place(slot, cell);
        states[place / 4u][place % 4u] = power_above(max(highest[0], 0x1p-60));
    }
}
