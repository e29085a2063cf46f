// What the backward on matrix units needs of each position: the planes of mlstm/layout.wgsl and mlstm/units_layout.wgsl, and
// X, dH in f16 with everything that belongs to its row.
//
// y_t as in mlstm/rows.wgsl. d_h, h, staged: [B, S, H, dv], dv a multiple of 4.
// One workgroup computes 16 positions, 16 invocations each, whose partial results are put together in order.
// Barrier: the partial results are complete before they are read.

@group(0) @binding(1) var<storage, read> d_h: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> h: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> den: array<f32>;
@group(0) @binding(4) var<storage, read> gates: array<f32>;
@group(0) @binding(5) var<storage, read> states: array<f32>;
@group(0) @binding(6) var<storage, read_write> rows: array<f32>;
@group(0) @binding(7) var<storage, read_write> staged: array<vec4<Element>>;

var<workgroup> partial: array<vec2<f32>, 256>;  // dH . h, and the largest of dH

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let index = flat_workgroup(group, groups) * 16u + lane / 16u;
    let inside = index < parameters.cells * parameters.sequence;
    let cell = index / parameters.sequence;
    let t = index % parameters.sequence;
    let start = row_start(cell, t, parameters.v_dim) / 4u;
    let quads = parameters.v_dim / 4u;
    var sum = 0.0;
    var most = 0.0;
    if inside {
        for (var at = lane % 16u; at < quads; at += 16u) {
            let d = d_h[start + at];
            sum += dot(d, h[start + at]);
            most = max(most, max(max(abs(d.x), abs(d.y)), max(abs(d.z), abs(d.w))));
        }
    }
    partial[lane] = vec2<f32>(sum, most);
    workgroupBarrier();
    if !inside {
        return;
    }
    sum = 0.0;
    most = 0.0;
    for (var at = 0u; at < 16u; at++) {
        let other = partial[lane / 16u * 16u + at];
        sum += other.x;
        most = max(most, other.y);
    }
    let chunk = t / parameters.chunk_size;
    let kept = gates[plane(FROM_START, cell, t)] + states[stabilizer_place(chunk, cell)];
    let stabilizer = max(kept, gates[plane(REACH, cell, t)]);
    let level = max(gates[plane(PEAK, cell, t)], stabilizer - DEEPEST);
    let floor = safe_exp(-stabilizer);
    let signed_den = den[row_start(cell, t, 1u)];
    var inverse = 1.0;
    var along = 0.0;
    if NORMALIZE == 1u {
        inverse = 1.0 / (max(abs(signed_den), floor) + parameters.epsilon);
        along = select(0.0, select(sum, -sum, signed_den > 0.0) * inverse, abs(signed_den) >= floor);
    }
    let sink = safe_exp(level - stabilizer);
    let spread = power_above(most * inverse * sink);
    let factor = inverse * sink / spread;
    for (var at = lane % 16u; at < quads; at += 16u) {
        staged[start + at] = vec4<Element>(d_h[start + at] * factor);
    }
    if lane % 16u != 0u {
        return;
    }
    let after = states[stabilizer_place(chunk + 1u, cell)];
    rows[plane(STABILIZER, cell, t)] = stabilizer;
    rows[plane(INVERSE, cell, t)] = inverse;
    rows[plane(ALONG, cell, t)] = along;
    rows[plane(READ, cell, t)] = parameters.scale * safe_exp(kept - stabilizer);
    rows[plane(WRITE, cell, t)] = safe_exp(gates[plane(TO_END, cell, t)] - after);
    let made = select(0.0, 1.0, gates[plane(LOG_INPUT, cell, t)] >= stabilizer);
    rows[plane(ORIGIN, cell, t)] = select(made, 2.0, gates[plane(LOG_FORGET, cell, t)] < FORGOTTEN);
    rows[plane(LEVEL, cell, t)] = level;
    rows[plane(SPREAD, cell, t)] = spread;
    rows[plane(PULL, cell, t)] = parameters.scale * safe_exp(kept - level);
    rows[plane(ALONG_STAGED, cell, t)] = along * sink / spread;
    rows[plane(ROW_GATES + LOG_FORGET, cell, t)] = gates[plane(LOG_FORGET, cell, t)];
    rows[plane(ROW_GATES + LOG_INPUT, cell, t)] = gates[plane(LOG_INPUT, cell, t)];
    rows[plane(ROW_GATES + TILE_PREFIX, cell, t)] = gates[plane(TILE_PREFIX, cell, t)];
    rows[plane(ROW_GATES + TILE_SUFFIX, cell, t)] = gates[plane(TILE_SUFFIX, cell, t)];
}
