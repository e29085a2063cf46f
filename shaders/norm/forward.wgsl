// Normalises rows: y = finish(n · weight), n = (x - mean) · rsqrt(mean((x - mean)²) + epsilon).
//
// The mean is taken as 0 unless CENTRED is 1 (RMSNorm). x: [rows, packs] of Pack, y like it, in mixed precision as f16; the
// gate has the type of y. weight: [heads, packs], and row r is
// scaled by weight row r mod heads. `finish` is in norm/output_plain.wgsl or norm/output_gated.wgsl.
//
// SPAN invocations share a row, 256 / SPAN rows a workgroup. Each holds its KEPT packs of the row in registers, so x is
// read once. The variance is summed from differences to the mean: nothing cancels.

struct Parameters {
    rows: u32,
    packs: u32,
    heads: u32,
    epsilon: f32,
    inverse_columns: f32,
}

@group(0) @binding(0) var<uniform> parameters: Parameters;
@group(0) @binding(1) var<storage, read> x: array<Pack>;
@group(0) @binding(2) var<storage, read> weight: array<Pack>;
@group(0) @binding(3) var<storage, read_write> y: array<Stored>;

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
    let weight_first = row % parameters.heads * parameters.packs;

    var kept: array<Pack, KEPT>;
    var sum = 0.0;
    for (var k = 0u; k < KEPT; k++) {
        let column = within + k * SPAN;
        if inside && column < parameters.packs {
            kept[k] = x[first + column];
            sum += total(kept[k]);
        }
    }
    var mean = 0.0;
    if CENTRED == 1u {
        mean = row_sums(vec2<f32>(sum, 0.0), lane).x * parameters.inverse_columns;
    }
    var squares = 0.0;
    for (var k = 0u; k < KEPT; k++) {
        if within + k * SPAN < parameters.packs {
            let difference = kept[k] - mean;
            squares += total(difference * difference);
        }
    }
    let variance = row_sums(vec2<f32>(squares, 0.0), lane).x * parameters.inverse_columns;
    let scale = inverseSqrt(variance + parameters.epsilon);
    for (var k = 0u; k < KEPT; k++) {
        let column = within + k * SPAN;
        if inside && column < parameters.packs {
            let scaled = (kept[k] - mean) * scale * weight[weight_first + column];
            y[first + column] = Stored(finish(scaled, first + column));
        }
    }
}
