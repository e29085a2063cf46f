// df_t = sigmoid(-f_t) (sum over u >= t of (q_u . dq_u - k_u . dk_u) + <C+_N, dC+_N> + delta where t is behind the position
// whose input gate made m_N), and what of delta = dm_N - <C+_N, dC+_N> goes to that input gate or, if no position made m_N,
// to the initial stabiliser.
//
// forget_gate, its gradient and d_input_gate: [B, S, H]; rows, inner: see mlstm/layout.wgsl and mlstm/inner.wgsl;
// d_final [cells]: the gradient of m_N; d_initial [cells]: of m_0.
// One workgroup computes one cell, from its end in blocks of 256 positions: a scan in a fixed order, and a carry.
// Barriers: each level of the maximum and of the scan is complete before the next reads it, and read before it is
// overwritten.

@group(0) @binding(1) var<storage, read> forget_gate: array<f32>;
@group(0) @binding(2) var<storage, read> rows: array<f32>;
@group(0) @binding(3) var<storage, read> inner: array<f32>;
@group(0) @binding(4) var<storage, read> d_final: array<f32>;
@group(0) @binding(5) var<storage, read_write> d_forget_gate: array<f32>;
@group(0) @binding(6) var<storage, read_write> d_input_gate: array<f32>;
@group(0) @binding(7) var<storage, read_write> d_initial: array<f32>;

var<workgroup> last_made: array<u32, 256>;  // one more than the position, 0 for none
var<workgroup> scan: array<f32, 256>;

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
    var latest = 0u;
    for (var t = lane; t < parameters.sequence; t += 256u) {
        if rows[plane(MADE, cell, t)] > 0.5 {
            latest = t + 1u;
        }
    }
    last_made[lane] = latest;
    workgroupBarrier();
    for (var half = 128u; half > 0u; half /= 2u) {
        if lane < half {
            last_made[lane] = max(last_made[lane], last_made[lane + half]);
        }
        workgroupBarrier();
    }
    let made = last_made[0];

    var along_final = 0.0;
    var delta = 0.0;
    if (parameters.flags & FINAL_GRADIENT_GIVEN) != 0u {
        along_final = inner[parameters.cells + cell];
        delta = -along_final;
    }
    if (parameters.flags & STABILIZER_GRADIENT_GIVEN) != 0u {
        delta += d_final[cell];
    }
    var before = along_final;
    for (var block = 0u; block < parameters.sequence; block += 256u) {
        let behind = block + lane;
        let inside = behind < parameters.sequence;
        let t = parameters.sequence - 1u - min(behind, parameters.sequence - 1u);
        var sum = 0.0;
        if inside {
            sum = rows[plane(FORGET_TERM, cell, t)];
        }
        scan[lane] = sum;
        workgroupBarrier();
        for (var reach = 1u; reach < 256u; reach *= 2u) {
            var added = 0.0;
            if lane >= reach {
                added = scan[lane - reach];
            }
            workgroupBarrier();
            scan[lane] += added;
            workgroupBarrier();
        }
        if inside {
            let place = row_start(cell, t, 1u);
            let own = select(0.0, delta, t + 1u > made);
            d_forget_gate[place] = sigmoid(-forget_gate[place]) * (before + scan[lane] + own);
            if t + 1u == made {
                d_input_gate[place] += delta;
            }
        }
        before += scan[255];
        workgroupBarrier();
    }
    if lane == 0u {
        d_initial[cell] = inner[cell] + select(0.0, delta, made == 0u);
    }
}
