// Attention of one position, second half: the parts of decode/attention_part.wgsl joined.
//
// parts: [batch, heads, most_parts, D + 2], of which `parts` are there; output: [batch, heads, D], D up to 256. A workgroup a
// head. Invocations that share a column, `across` apart, take every so many parts.
//
// Barriers: the sums of those that share a column are complete before they are added.

struct Parameters {
    parts: u32,
    most_parts: u32,
    batch_heads: u32,
    head_dim: u32,
    across: u32,  // the power of two from head_dim on
}

@group(0) @binding(0) var<uniform> parameters: Parameters;
@group(0) @binding(1) var<storage, read> parts: array<f32>;
@group(0) @binding(2) var<storage, read_write> output: array<f32>;

var<workgroup> sums: array<f32, 256>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let batch_head = flat_workgroup(group, groups);
    if batch_head >= parameters.batch_heads {
        return;
    }
    let stride = parameters.head_dim + 2u;
    let first = batch_head * parameters.most_parts * stride;
    var own = LEAST;
    for (var part = lane; part < parameters.parts; part += 256u) {
        own = max(own, parts[first + part * stride]);
    }
    let most = row_highest(own, lane);
    var share = 0.0;
    for (var part = lane; part < parameters.parts; part += 256u) {
        share += safe_exp(parts[first + part * stride] - most) * parts[first + part * stride + 1u];
    }
    let total = row_sums(vec2<f32>(share, 0.0), lane).x;
    let column = lane % parameters.across;
    let sharing = 256u / parameters.across;
    var sum = 0.0;
    if column < parameters.head_dim {
        for (var part = lane / parameters.across; part < parameters.parts; part += sharing) {
            let place = first + part * stride;
            sum += safe_exp(parts[place] - most) * parts[place + 2u + column];
        }
    }
    sums[lane] = sum;
    workgroupBarrier();  // all sums are there
    if lane < parameters.head_dim {
        sum = 0.0;
        for (var other = 0u; other < sharing; other++) {
            sum += sums[other * parameters.across + lane];
        }
        output[batch_head * parameters.head_dim + lane] = sum / total;
    }
}
