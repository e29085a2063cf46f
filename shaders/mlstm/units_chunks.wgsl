// For each chunk a power of two that is at least the largest spread of its positions, and one that is at least the largest
// pull * spread.
//
// rows: see mlstm/units_layout.wgsl. One workgroup computes one chunk of one cell, an invocation each position.
// Barriers: each level of the tree is complete before the next reads it.

@group(0) @binding(1) var<storage, read_write> rows: array<f32>;

var<workgroup> highest: array<vec2<f32>, 256>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let flat = flat_workgroup(group, groups);
    if flat >= parameters.cells * parameters.chunks {
        return;
    }
    let cell = flat / parameters.chunks;
    let chunk = flat % parameters.chunks;
    let t = chunk * parameters.chunk_size + lane;
    var most = vec2<f32>(0.0);
    if lane < chunk_rows(chunk) {
        let spread = rows[plane(SPREAD, cell, t)];
        most = vec2<f32>(spread, spread * rows[plane(PULL, cell, t)]);
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
        rows[row_chunk_place(cell, chunk)] = power_above(highest[0].x);
        rows[row_chunk_place(cell, chunk) + 1u] = power_above(highest[0].y);
    }
}
