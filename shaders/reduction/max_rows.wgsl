// The largest element of each segment of each row, the first of equal ones, and its place: y[r, s] = x[places[r, s]].
//
// Rows of `length_of_row` candidates, each cut into `segments` segments of `length`, of which the last may be shorter; y and
// places: one element a part, where a part is a segment of a row. SPAN invocations share a part, 256 / SPAN parts a
// workgroup; each keeps the best of every SPAN-th candidate, then the best of those is found in a tree. What wins does not
// depend on the order; see reduction/candidate.wgsl.

struct Parameters {
    parts: u32,
    length_of_row: u32,
    segments: u32,
    length: u32,
    divisor: u32,  // a place is stored as place / divisor mod modulus
    modulus: u32,
}

@group(0) @binding(0) var<uniform> parameters: Parameters;
@group(0) @binding(1) var<storage, read> x: array<u32>;
@group(0) @binding(2) var<storage, read> candidates: array<u32>;
@group(0) @binding(3) var<storage, read_write> y: array<u32>;
@group(0) @binding(4) var<storage, read_write> places: array<u32>;

var<workgroup> best: array<Candidate, 256>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let within = lane % SPAN;
    let part = flat_workgroup(group, groups) * (256u / SPAN) + lane / SPAN;
    var mine = NONE;
    if part < parameters.parts {
        let first = part % parameters.segments * parameters.length;
        let end = min(first + parameters.length, parameters.length_of_row);
        let row = part / parameters.segments * parameters.length_of_row;
        for (var place = first + within; place < end; place += SPAN) {
            mine = better(mine, candidate(row + place));
        }
    }
    best[lane] = mine;
    workgroupBarrier();  // all candidates are there
    for (var half = SPAN / 2u; half > 0u; half /= 2u) {
        if within < half {
            best[lane] = better(best[lane], best[lane + half]);
        }
        workgroupBarrier();  // this level is complete before the next reads it
    }
    if within == 0u && part < parameters.parts {
        let place = best[lane].place;
        y[part] = x[place];
        places[part] = place / parameters.divisor % parameters.modulus;
    }
}
