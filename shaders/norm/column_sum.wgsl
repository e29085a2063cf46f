// y[c] = sum over rows of x[r, c].
//
// x: [rows, columns]; y: [columns]. A workgroup takes 8 neighbouring columns, so that loads fill whole 32-byte sectors.
// Of its 32 rows of invocations, row i adds the terms i, i + 32, ... in order, four of them read at a time; then the 32 partial sums of each column
// are added pairwise in a fixed tree, so the result is the same in every run.

struct Parameters {
    rows: u32,
    columns: u32,
}

const COLUMNS: u32 = 8u;
const ROWS: u32 = 32u;

@group(0) @binding(0) var<uniform> parameters: Parameters;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

var<workgroup> partial: array<f32, 256>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let column = flat_workgroup(group, groups) * COLUMNS + lane % COLUMNS;
    var sum = 0.0;
    if column < parameters.columns {
        var row = lane / COLUMNS;
        for (; row + 3u * ROWS < parameters.rows; row += 4u * ROWS) {
            let first = row * parameters.columns + column;
            let step = ROWS * parameters.columns;
            let terms = vec4<f32>(x[first], x[first + step], x[first + 2u * step], x[first + 3u * step]);
            sum += (terms.x + terms.y) + (terms.z + terms.w);
        }
        for (; row < parameters.rows; row += ROWS) {
            sum += x[row * parameters.columns + column];
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
    if lane < COLUMNS && column < parameters.columns {
        y[column] = partial[lane];
    }
}
