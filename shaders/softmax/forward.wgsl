// Softmax over rows: y = e^(x - m) / sum of e^(x - m), with m the row's maximum; or its logarithm,
// y = x - m - ln(sum of e^(x - m)), where LOGARITHM is 1.
//
// x, y: [rows, packs] of Pack. SPAN invocations share a row, 256 / SPAN rows a workgroup. Each holds its KEPT packs in
// registers, so x is read once. No exponent is above 0, and the sum is at least 1: nothing overflows, nothing divides by 0.

struct Parameters {
    rows: u32,
    packs: u32,
}

@group(0) @binding(0) var<uniform> parameters: Parameters;
@group(0) @binding(1) var<storage, read> x: array<Pack>;
@group(0) @binding(2) var<storage, read_write> y: array<Pack>;

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

    var kept: array<Pack, KEPT>;
    var most = LEAST;
    for (var k = 0u; k < KEPT; k++) {
        let column = within + k * SPAN;
        if inside && column < parameters.packs {
            kept[k] = x[first + column];
            most = max(most, highest(kept[k]));
        }
    }
    most = row_highest(most, lane);
    var sum = 0.0;
    for (var k = 0u; k < KEPT; k++) {
        kept[k] -= most;
        if within + k * SPAN < parameters.packs {
            let e = exp_pack(kept[k]);
            sum += total(e);
            if LOGARITHM == 0u {
                kept[k] = e;
            }
        }
    }
    sum = row_sums(vec2<f32>(sum, 0.0), lane).x;
    for (var k = 0u; k < KEPT; k++) {
        let column = within + k * SPAN;
        if inside && column < parameters.packs {
            if LOGARITHM == 1u {
                y[first + column] = kept[k] - safe_log(sum);
            } else {
                y[first + column] = kept[k] / sum;
            }
        }
    }
}
