// y[b, r] = finish(with_bias(sum_k weight[r, k] v[b, k])) for the vectors v of a few texts, with v[b] = x[b], or, if NORMED, its
// RMSNorm x[b] scale / sqrt(mean(x[b]^2) + epsilon).
//
// weight: f16 [all rows, depth], depth a multiple of 8; x: [batch, depth]; scale: [depth]; y: [batch, y_stride], of which this
// writes the columns from y_first on. `with_bias` (decode/bias_*.wgsl) adds the bias of a row of the weight, if there is one;
// `finish` (decode/finish_*.wgsl) says what becomes of the sum, and decode/rows_*.wgsl which rows an invocation reads.
//
// The time of such a product is that of reading the weight, which every text shares: a pack of 8 f16, 16 bytes, at a time. A
// workgroup of 256 invocations has 256 / TEAM teams; a team multiplies ROWS rows with up to BATCH texts, invocation i of it
// the packs i, i + TEAM, ... . So the loads of x are shared by ROWS rows, and 1 / sqrt(...), which is the same for a whole
// text, is found beside the sums, without a pass of its own. More texts than BATCH are neighbouring workgroups, which find the
// weight in the cache.
//
// Barriers: the partial sums of a team are complete before they are added, in a fixed order; and read before the next ones.

struct Parameters {
    rows: u32,      // that are computed
    packs: u32,     // of 8 numbers, in a row of the weight
    batch: u32,
    groups: u32,    // of BATCH texts
    y_first: u32,
    y_stride: u32,
    epsilon: f32,
    cap: f32,       // of finish_cap
}

@group(0) @binding(0) var<uniform> parameters: Parameters;
@group(0) @binding(1) var<storage, read> weight: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> scale: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;

const TEAMS = 256u / TEAM;
const SUMS = ROWS * BATCH;
// Vectors of the sums, with room for the sums of squares behind them, and those that are used.
const VECTORS = (SUMS + BATCH + 3u) / 4u;
const USED = (SUMS + NORMED * BATCH + 3u) / 4u;
const NEIGHBOURS = 8u;
const CLUSTERS = TEAM / NEIGHBOURS;

var<workgroup> partial: array<vec4<f32>, 256>;
var<workgroup> clusters: array<vec4<f32>, 32>;

// The sums over a team, for each invocation of it.
fn team_sums(value: vec4<f32>, lane: u32) -> vec4<f32> {
    let cluster = lane / NEIGHBOURS;
    partial[lane] = value;
    workgroupBarrier();  // all values are there; and the clusters of the call before have been read
    var sum = vec4<f32>();
    for (var at = 0u; at < NEIGHBOURS; at++) {
        sum += partial[cluster * NEIGHBOURS + at];
    }
    if lane % NEIGHBOURS == 0u {
        clusters[cluster] = sum;
    }
    workgroupBarrier();  // all clusters are there; and all values have been read
    sum = vec4<f32>();
    for (var at = 0u; at < CLUSTERS; at++) {
        sum += clusters[lane / TEAM * CLUSTERS + at];
    }
    return sum;
}

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let index = flat_workgroup(group, groups);
    let first_text = index % parameters.groups * BATCH;
    let first_row = (index / parameters.groups * TEAMS + lane / TEAM) * OUTPUTS;
    let member = lane % TEAM;
    let width = parameters.packs * 2u;  // vectors of four in a row of x

    var sums: array<vec4<f32>, VECTORS>;
    var starts: array<u32, ROWS>;
    for (var r = 0u; r < ROWS; r++) {  // unrolled
        starts[r] = weight_row(first_row, r) * parameters.packs;
    }
    for (var pack = member; pack < parameters.packs; pack += TEAM) {
        var low: array<vec4<f32>, ROWS>;
        var high: array<vec4<f32>, ROWS>;
        for (var r = 0u; r < ROWS; r++) {  // unrolled
            let both = weight[starts[r] + pack];
            low[r] = lower(both);
            high[r] = upper(both);
        }
        var low_scale = vec4<f32>(1.0);
        var high_scale = vec4<f32>(1.0);
        if NORMED == 1u {
            low_scale = scale[2u * pack];
            high_scale = scale[2u * pack + 1u];
        }
        for (var b = 0u; b < BATCH; b++) {  // unrolled
            let place = min(first_text + b, parameters.batch - 1u) * width + 2u * pack;
            var x_low = x[place];
            var x_high = x[place + 1u];
            if NORMED == 1u {
                sums[(SUMS + b) / 4u][(SUMS + b) % 4u] += dot(x_low, x_low) + dot(x_high, x_high);
                x_low *= low_scale;
                x_high *= high_scale;
            }
            for (var r = 0u; r < ROWS; r++) {  // unrolled
                sums[(b * ROWS + r) / 4u][(b * ROWS + r) % 4u] += dot(low[r], x_low) + dot(high[r], x_high);
            }
        }
    }
    for (var at = 0u; at < USED; at++) {  // unrolled
        sums[at] = team_sums(sums[at], lane);
    }
    if member != 0u {
        return;
    }
    for (var b = 0u; b < BATCH; b++) {  // unrolled
        let text = first_text + b;
        var factor = 1.0;
        if NORMED == 1u {
            let mean = sums[(SUMS + b) / 4u][(SUMS + b) % 4u] / f32(8u * parameters.packs);
            factor = inverseSqrt(mean + parameters.epsilon);
        }
        for (var r = 0u; r < OUTPUTS; r++) {  // unrolled
            let row = first_row + r;
            if text < parameters.batch && row < parameters.rows {
                let own = factor * sums[(b * ROWS + r) / 4u][(b * ROWS + r) % 4u];
                let other = factor * sums[(b * ROWS + r + PARTNER) / 4u][(b * ROWS + r + PARTNER) % 4u];
                let own_biased = with_bias(own, weight_row(first_row, r));
                let other_biased = with_bias(other, weight_row(first_row, r + PARTNER));
                finish(own_biased, other_biased, text * parameters.y_stride + parameters.y_first + row);
            }
        }
    }
}
