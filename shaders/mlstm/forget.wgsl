// df_t = sigmoid(-f_t) (E_t + delta where t is behind the position whose input gate made m_N), and what of
// delta = dm_N - <C+_N, dC+_N> goes to that input gate or, if no position made m_N, to the initial stabiliser.
//
// E_t is what reaches from before t to t and behind. With r = q . dq - k . dk, E_t - E_t+1 = r_t, and E is known at the
// chunk's borders, <C+, dC+>, and where a document begins, 0. So E_t is E at the next border on the left less the r up to t,
// or E at the next border on the right plus the r from t on. Rounding is in proportion to the sizes of what is summed, which
// may be much larger than E, since what lies on one side of t cancels: both are taken, each weighted by the square of the
// other's share in the sizes.
// forget_gate, its gradient and d_input_gate: [B, S, H]; rows, inner: see mlstm/layout.wgsl and mlstm/inner.wgsl;
// d_final [cells]: the gradient of m_N; d_initial [cells]: of m_0.
// One workgroup computes one chunk of one cell, an invocation each position.
// Barriers: the terms are complete before they are summed; each level of the maximum before the next reads it.

@group(0) @binding(1) var<storage, read> forget_gate: array<f32>;
@group(0) @binding(2) var<storage, read> rows: array<f32>;
@group(0) @binding(3) var<storage, read> inner: array<f32>;
@group(0) @binding(4) var<storage, read> d_final: array<f32>;
@group(0) @binding(5) var<storage, read_write> d_forget_gate: array<f32>;
@group(0) @binding(6) var<storage, read_write> d_input_gate: array<f32>;
@group(0) @binding(7) var<storage, read_write> d_initial: array<f32>;

var<workgroup> last_made: array<u32, 256>;    // one more than the position, 0 for none
var<workgroup> terms: array<vec2<f32>, 256>;  // r and its size
var<workgroup> begins: array<u32, 256>;       // 1 where a document begins

// E at the position from what is on its left and on its right in the chunk of `count` positions; E and its size at the
// chunk's borders are given.
fn across(position: u32, count: u32, before: vec2<f32>, after: vec2<f32>) -> f32 {
    var left = vec2<f32>(0.0);
    var first = position;
    while first > 0u && begins[first] == 0u {
        first--;
        left += vec2<f32>(-terms[first].x, terms[first].y);
    }
    if begins[first] == 0u {
        left += before;
    }
    var right = terms[position];
    var end = position + 1u;
    while end < count && begins[end] == 0u {
        right += terms[end];
        end++;
    }
    if end == count {
        right += after;
    }
    let size = left.y + right.y;
    let of_right = select(0.0, right.y / size, size > 0.0);
    let of_left = 1.0 - of_right;
    let squares = vec2<f32>(of_left * of_left, of_right * of_right);
    return (left.x * squares.y + right.x * squares.x) / (squares.x + squares.y);
}

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
    let first = chunk * parameters.chunk_size;
    let count = chunk_rows(chunk);
    let t = first + lane;
    if lane < count {
        terms[lane] = vec2<f32>(rows[plane(FORGET_TERM, cell, t)], rows[plane(FORGET_SIZE, cell, t)]);
        begins[lane] = select(0u, 1u, rows[plane(ORIGIN, cell, t)] > 1.5);
    }
    var delta = 0.0;
    if (parameters.flags & FINAL_GRADIENT_GIVEN) != 0u {
        delta = -inner[parameters.chunks * parameters.cells + cell];
    }
    if (parameters.flags & STABILIZER_GRADIENT_GIVEN) != 0u {
        delta += d_final[cell];
    }
    // What made m_N before this chunk does not matter to it.
    var latest = 0u;
    if (parameters.flags & (FINAL_GRADIENT_GIVEN | STABILIZER_GRADIENT_GIVEN)) != 0u {
        for (var at = t; at < parameters.sequence; at += 256u) {
            if rows[plane(ORIGIN, cell, at)] > 0.5 {
                latest = at + 1u;
            }
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
    if lane < count {
        let place = row_start(cell, t, 1u);
        let sizes = (parameters.chunks + 1u) * parameters.cells;
        let left = chunk * parameters.cells + cell;
        let right = left + parameters.cells;
        let before = vec2<f32>(inner[left], inner[sizes + left]);
        let after = vec2<f32>(inner[right], inner[sizes + right]);
        let own = select(0.0, delta, t + 1u > made);
        d_forget_gate[place] = sigmoid(-forget_gate[place]) * (across(lane, count, before, after) + own);
        if t + 1u == made {
            d_input_gate[place] += delta;
        }
    }
    if chunk == 0u && lane == 0u {
        d_initial[cell] = inner[cell] + select(0.0, delta, made == 0u);
    }
}
