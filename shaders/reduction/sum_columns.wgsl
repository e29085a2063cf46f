// y[o, s, c] = factor · sum over the rows r of segment s of x[o, r, c].
//
// x: [outer, n, inner]; y: [outer, segments, inner]; how the work is shared is in reduction/columns.wgsl. Each invocation
// adds every ROWS-th row of its column in order, then their sums are added in a fixed tree.

@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

var<workgroup> partial: array<f32, 256>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let mine = share(flat_workgroup(group, groups), lane);
    var sum = 0.0;
    if mine.inside {
        for (var row = mine.first; row < mine.end; row += ROWS) {
            sum += x[mine.base + row * parameters.inner];
        }
    }
    partial[lane] = sum;
    workgroupBarrier();  // partial is complete before others are read
    for (var half = ROWS / 2u; half > 0u; half /= 2u) {
        if lane / COLUMNS < half {
            partial[lane] += partial[lane + half * COLUMNS];
        }
        workgroupBarrier();  // this level is complete before the next reads it
    }
    if lane < COLUMNS && mine.inside {
        y[mine.output] = parameters.factor * partial[lane];
    }
}
