// What the backward needs of each position: m_t, 1/D_t, y_t, and the weights towards the states at the chunk's borders.
//
// y_t = -(dH_t . h_t) / D_t * sign(den_t), or 0 where |den_t| is below the floor exp(-m_t), which gates and inputs do not
// move (m_t drops out of h). Where h is not divided by D (NORMALIZE = 0), D is 1 and y is 0. rows: see mlstm/layout.wgsl.
// One workgroup computes 16 positions, 16 invocations each, whose partial sums are added in order.
// Barrier: the partial sums are complete before they are added.

@group(0) @binding(1) var<storage, read> d_h: array<f32>;
@group(0) @binding(2) var<storage, read> h: array<f32>;
@group(0) @binding(3) var<storage, read> den: array<f32>;
@group(0) @binding(4) var<storage, read> gates: array<f32>;
@group(0) @binding(5) var<storage, read> states: array<f32>;
@group(0) @binding(6) var<storage, read_write> rows: array<f32>;

var<workgroup> partial: array<f32, 256>;

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
    var sum = 0.0;
    if inside {
        let start = row_start(cell, t, parameters.v_dim);
        for (var at = lane % 16u; at < parameters.v_dim; at += 16u) {
            sum += d_h[start + at] * h[start + at];
        }
    }
    partial[lane] = sum;
    workgroupBarrier();
    if !inside || lane % 16u != 0u {
        return;
    }
    sum = 0.0;
    for (var at = 0u; at < 16u; at++) {
        sum += partial[lane + at];
    }
    let chunk = t / parameters.chunk_size;
    let kept = gates[plane(FROM_START, cell, t)] + states[stabilizer_place(chunk, cell)];
    let stabilizer = max(kept, gates[plane(REACH, cell, t)]);
    let after = states[stabilizer_place(chunk + 1u, cell)];
    let floor = safe_exp(-stabilizer);
    let signed_den = den[row_start(cell, t, 1u)];
    var inverse = 1.0;
    var along = 0.0;
    if NORMALIZE == 1u {
        inverse = 1.0 / (max(abs(signed_den), floor) + parameters.epsilon);
        along = select(0.0, select(sum, -sum, signed_den > 0.0) * inverse, abs(signed_den) >= floor);
    }
    rows[plane(STABILIZER, cell, t)] = stabilizer;
    rows[plane(INVERSE, cell, t)] = inverse;
    rows[plane(ALONG, cell, t)] = along;
    rows[plane(READ, cell, t)] = parameters.scale * safe_exp(kept - stabilizer);
    rows[plane(WRITE, cell, t)] = safe_exp(gates[plane(TO_END, cell, t)] - after);
    let made = select(0.0, 1.0, gates[plane(LOG_INPUT, cell, t)] >= stabilizer);
    rows[plane(ORIGIN, cell, t)] = select(made, 2.0, gates[plane(LOG_FORGET, cell, t)] < FORGOTTEN);
}
