// The gradients of softmax/forward.wgsl from y: d_x = y · (d_y - sum of d_y · y), or for the logarithm
// d_x = d_y - e^y · sum of d_y.
//
// y, d_y, d_x: [rows, packs] of Pack. SPAN invocations share a row, 256 / SPAN rows a workgroup. Each holds its KEPT packs
// of both in registers, so they are read once.

struct Parameters {
    rows: u32,
    packs: u32,
}

@group(0) @binding(0) var<uniform> parameters: Parameters;
@group(0) @binding(1) var<storage, read> y: array<Pack>;
@group(0) @binding(2) var<storage, read> d_y: array<Pack>;
@group(0) @binding(3) var<storage, read_write> d_x: array<Pack>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let within = lane % SPAN;
    let row = flat_workgroup(group, groups) * (256u / SPAN) + lane / SPAN;
    let inside = row < parameters.rows;
    let first = row * parameters.packs;

    var probability: array<Pack, KEPT>;
    var upstream: array<Pack, KEPT>;
    var sum = 0.0;
    for (var k = 0u; k < KEPT; k++) {
        let column = within + k * SPAN;
        if inside && column < parameters.packs {
            probability[k] = y[first + column];
            upstream[k] = d_y[first + column];
            if LOGARITHM == 1u {
                probability[k] = exp_pack(probability[k]);
                sum += total(upstream[k]);
            } else {
                sum += total(upstream[k] * probability[k]);
            }
        }
    }
    sum = row_sums(vec2<f32>(sum, 0.0), lane).x;
    for (var k = 0u; k < KEPT; k++) {
        let column = within + k * SPAN;
        if inside && column < parameters.packs {
            if LOGARITHM == 1u {
                d_x[first + column] = upstream[k] - probability[k] * sum;
            } else {
                d_x[first + column] = probability[k] * (upstream[k] - sum);
            }
        }
    }
}
