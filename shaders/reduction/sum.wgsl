// y[r] = factor · sum of row r of x.
//
// x: `total` packs in rows of `packs`, of which the last row may be shorter; y: [rows]. SPAN invocations share a row,
// 256 / SPAN rows a workgroup. Each adds every SPAN-th pack in order, then their sums are added in a fixed tree.

struct Parameters {
    rows: u32,
    packs: u32,
    total: u32,
    factor: f32,
}

@group(0) @binding(0) var<uniform> parameters: Parameters;
@group(0) @binding(1) var<storage, read> x: array<Pack>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let within = lane % SPAN;
    let row = flat_workgroup(group, groups) * (256u / SPAN) + lane / SPAN;
    var sum = Pack();
    if row < parameters.rows {
        let first = row * parameters.packs;
        let end = min(first + parameters.packs, parameters.total);
        for (var place = first + within; place < end; place += SPAN) {
            sum += x[place];
        }
    }
    let whole = row_sums(vec2<f32>(total(sum), 0.0), lane).x;
    if within == 0u && row < parameters.rows {
        y[row] = parameters.factor * whole;
    }
}
