// The norm of all gradients from their partial sums, and what the step does: the second stage, one workgroup.
//
// norm = √(Σ partial) / loss_scale;  clip = min(1, max_norm / (norm + 1e-6));
// finite: no partial names a tensor, and the sum is finite. Then applied grows by 1, and the bias corrections
// 1 - beta^applied are computed as -expm1(applied · ln beta), which does not cancel where beta^applied is near 1.
//
// The loss scale of the next step, if it is dynamic (interval over 0): half of this one's, at least 1, after a step that is
// not applied; twice, at most 2^24, after `interval` steps in a row that were. It is written to `scale` too, from which the
// next backward starts. Doubling and halving are exact.
//
// partials: [count] pairs (bits of Σ x², tensor or NONE). Invocation i adds the partials i, i + 256, ... in order, then the
// 256 sums are added pairwise in a fixed tree; the least of the tensors is found on the way. Each barrier separates a level
// of the tree from the next.

const LANES: u32 = 256u;

struct Parameters {
    count: u32,
    max_norm: f32,  // the largest float: never clip
    log_beta1: f32,
    log_beta2: f32,
    interval: u32,  // 0: the loss scale is constant
}

const MOST_SCALE: f32 = 16777216.0;

@group(0) @binding(0) var<uniform> parameters: Parameters;
@group(0) @binding(1) var<storage, read> partials: array<vec2<u32>>;
@group(0) @binding(2) var<storage, read_write> state: array<u32>;
@group(0) @binding(3) var<storage, read_write> scale: array<f32>;

var<workgroup> sums: array<f32, LANES>;
var<workgroup> first_bad: array<u32, LANES>;

// 1 - e^-y for y >= 0: by its series where e^-y is near 1.
fn one_minus_exp(y: f32) -> f32 {
    var series = 1.0;
    for (var term = 9.0; term > 1.0; term -= 1.0) {
        series = 1.0 - series * y / term;
    }
    return select(1.0 - safe_exp(-y), y * series, y < 0.5);
}

@compute @workgroup_size(256)
fn main(@builtin(local_invocation_index) lane: u32) {
    var sum = 0.0;
    var bad = NONE;
    for (var place = lane; place < parameters.count; place += LANES) {
        let partial = partials[place];
        sum += bitcast<f32>(partial.x);
        bad = min(bad, partial.y);
    }
    sums[lane] = sum;
    first_bad[lane] = bad;
    workgroupBarrier();
    for (var half = LANES / 2u; half > 0u; half /= 2u) {
        if lane < half {
            sums[lane] += sums[lane + half];
            first_bad[lane] = min(first_bad[lane], first_bad[lane + half]);
        }
        workgroupBarrier();
    }
    if lane != 0u {
        return;
    }
    let loss_scale = bitcast<f32>(state[NEXT_SCALE]);
    let norm = sqrt(sums[0]) / loss_scale;
    let finite = first_bad[0] == NONE && is_finite(sums[0]);
    let clip = min(1.0, parameters.max_norm / (norm + 1e-6));
    let applied = state[APPLIED] + select(0u, 1u, finite);
    var next_scale = loss_scale;
    var in_a_row = select(0u, state[IN_A_ROW] + 1u, finite);
    if parameters.interval > 0u {
        if !finite {
            next_scale = max(1.0, 0.5 * loss_scale);
        } else if in_a_row >= parameters.interval {
            next_scale = min(MOST_SCALE, 2.0 * loss_scale);
            in_a_row = 0u;
        }
    }
    scale[0] = next_scale;
    state[LOSS_SCALE] = bitcast<u32>(loss_scale);
    state[NEXT_SCALE] = bitcast<u32>(next_scale);
    state[IN_A_ROW] = in_a_row;
    state[FINITE] = select(0u, 1u, finite);
    state[FIRST_BAD] = first_bad[0];
    // The sum's own bits, infinite or not a number, where there is no norm.
    state[GRADIENT_NORM] = select(bitcast<u32>(sums[0]), bitcast<u32>(norm), finite);
    state[APPLIED] = applied;
    state[CLIP] = select(bitcast<u32>(1.0), bitcast<u32>(clip), finite);
    state[GRADIENT_FACTOR] = bitcast<u32>(clip / loss_scale);
    state[CORRECTION_1] = bitcast<u32>(one_minus_exp(-f32(applied) * parameters.log_beta1));
    state[CORRECTION_2] = bitcast<u32>(one_minus_exp(-f32(applied) * parameters.log_beta2));
}
