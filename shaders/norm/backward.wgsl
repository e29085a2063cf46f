// The gradients of norm/forward.wgsl, all of them in one pass over x and d_y.
//
// With g = weight · u, where u is what `incoming` makes of d_y, d = x - mean and r = rsqrt(mean(d²) + epsilon):
//   d_x = r · (g - mean(g) - d · r² · mean(g · d))      (mean(g) only if CENTRED)
//   d_weight = sum over tokens of u · d · r
// d_x may be added to a gradient that x has from elsewhere: each element is read and written by one invocation.
// `incoming` and `outgoing` are in norm/gradient_plain.wgsl or norm/gradient_gated.wgsl.
//
// x, d_y, d_x: [tokens, heads, packs] of Pack; weight: [heads, packs]; partial: [blocks, heads, packs].
// In mixed precision d_y, the gate and d_gate are f16.
// SPAN invocations take one head through a block of tokens, 256 / SPAN such pairs a workgroup. Each adds up d_weight of its
// KEPT packs in registers and writes it to `partial`, which norm/column_sum.wgsl adds up: fixed order, no atomics.
// Mean and r are computed again from x, which is read anyway: cheaper than to store them.

struct Parameters {
    tokens: u32,
    heads: u32,
    packs: u32,
    tokens_per_block: u32,
    pairs: u32,  // blocks · heads
    epsilon: f32,
    inverse_columns: f32,
    accumulate: u32,  // 1: d_x is added to what is there
}

@group(0) @binding(0) var<uniform> parameters: Parameters;
@group(0) @binding(1) var<storage, read> x: array<Pack>;
@group(0) @binding(2) var<storage, read> weight: array<Pack>;
@group(0) @binding(3) var<storage, read> d_y: array<Stored>;
@group(0) @binding(4) var<storage, read_write> d_x: array<Pack>;
@group(0) @binding(5) var<storage, read_write> partial: array<Pack>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let within = lane % SPAN;
    let pair = flat_workgroup(group, groups) * (256u / SPAN) + lane / SPAN;
    let head = pair % parameters.heads;
    let first_token = pair / parameters.heads * parameters.tokens_per_block;

    var d_weight: array<Pack, KEPT>;
    var scales: array<Pack, KEPT>;
    for (var k = 0u; k < KEPT; k++) {
        let column = within + k * SPAN;
        if column < parameters.packs {
            scales[k] = weight[head * parameters.packs + column];
        }
    }
    for (var step = 0u; step < parameters.tokens_per_block; step++) {
        let token = first_token + step;
        let inside = pair < parameters.pairs && token < parameters.tokens;
        let first = (token * parameters.heads + head) * parameters.packs;

        var difference: array<Pack, KEPT>;
        var upstream: array<Pack, KEPT>;
        var sums = vec2<f32>();
        for (var k = 0u; k < KEPT; k++) {
            let column = within + k * SPAN;
            if inside && column < parameters.packs {
                difference[k] = x[first + column];
                upstream[k] = incoming(k, Pack(d_y[first + column]), first + column);
                sums += vec2<f32>(total(difference[k]), total(upstream[k] * scales[k]));
            }
        }
        var means = vec2<f32>();  // of x and of g
        if CENTRED == 1u {
            means = row_sums(sums, lane) * parameters.inverse_columns;
        }
        sums = vec2<f32>();
        for (var k = 0u; k < KEPT; k++) {
            if within + k * SPAN < parameters.packs {
                difference[k] -= means.x;
                let g = upstream[k] * scales[k];
                sums += vec2<f32>(total(difference[k] * difference[k]), total(g * difference[k]));
            }
        }
        sums = row_sums(sums, lane) * parameters.inverse_columns;
        let r = inverseSqrt(sums.x + parameters.epsilon);
        let along = r * r * sums.y;
        for (var k = 0u; k < KEPT; k++) {
            let column = within + k * SPAN;
            if inside && column < parameters.packs {
                let g = upstream[k] * scales[k];
                let normed = difference[k] * r;
                var d = r * (g - means.y - difference[k] * along);
                if parameters.accumulate == 1u {
                    d += d_x[first + column];
                }
                d_x[first + column] = d;
                d_weight[k] += upstream[k] * normed;
                outgoing(k, upstream[k], normed * scales[k], first + column);
            }
        }
    }
    for (var k = 0u; k < KEPT; k++) {
        let column = within + k * SPAN;
        if pair < parameters.pairs && column < parameters.packs {
            partial[pair * parameters.packs + column] = d_weight[k];
        }
    }
}
