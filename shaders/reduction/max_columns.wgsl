// The largest element of each segment of each column of [outer, n, inner], the first of equal ones, and its place:
// y[o, s, c] = x[places[o, s, c]].
//
// How the work is shared is in reduction/columns.wgsl. Each invocation keeps the best of every ROWS-th candidate of its
// column, then the best of those is found in a tree. What wins does not depend on the order; see reduction/candidate.wgsl.

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
    let mine = share(flat_workgroup(group, groups), lane);
    var found = NONE;
    if mine.inside {
        for (var row = mine.first; row < mine.end; row += ROWS) {
            found = better(found, candidate(mine.base + row * parameters.inner));
        }
    }
    best[lane] = found;
    workgroupBarrier();  // all candidates are there
    for (var half = ROWS / 2u; half > 0u; half /= 2u) {
        if lane / COLUMNS < half {
            best[lane] = better(best[lane], best[lane + half * COLUMNS]);
        }
        workgroupBarrier();  // this level is complete before the next reads it
    }
    if lane < COLUMNS && mine.inside {
        let place = best[lane].place;
        y[mine.output] = x[place];
        places[mine.output] = place / parameters.divisor % parameters.modulus;
    }
}
