// y[r, s] = factor · sum of segment s of row r of x.
//
// x: rows of `packs` packs, each cut into `segments` segments of `length` packs, of which the last may be shorter; y: one
// element a part, where a part is a segment of a row. SPAN invocations share a part, 256 / SPAN parts a workgroup. Each adds
// every SPAN-th pack in order, then their sums are added in a fixed tree.

struct Parameters {
    parts: u32,
    packs: u32,
    segments: u32,
    length: u32,
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
    let part = flat_workgroup(group, groups) * (256u / SPAN) + lane / SPAN;
    var sum = Pack();
    if part < parameters.parts {
        let first = part % parameters.segments * parameters.length;
        let end = min(first + parameters.length, parameters.packs);
        let row = part / parameters.segments * parameters.packs;
        for (var place = first + within; place < end; place += SPAN) {
            sum += x[row + place];
        }
    }
    let whole = row_sums(vec2<f32>(total(sum), 0.0), lane).x;
    if within == 0u && part < parameters.parts {
        y[part] = parameters.factor * whole;
    }
}
