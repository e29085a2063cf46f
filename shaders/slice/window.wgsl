// Copies a window of each row: y[r, y_first + c] = x[r, x_first + c] for c < width, and 0 where x has no such column.
//
// x: [rows, x_columns]; y: [rows, y_columns]. One invocation writes one element. x_first may be negative, stored as a two's
// complement: adding it wraps round, and what lies before the row turns out larger than x_columns.

struct Parameters {
    rows: u32,
    width: u32,
    x_columns: u32,
    x_first: u32,
    y_columns: u32,
    y_first: u32,
}

@group(0) @binding(0) var<uniform> parameters: Parameters;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let index = flat_workgroup(group, groups) * 256u + lane;
    if index >= parameters.rows * parameters.width {
        return;
    }
    let row = index / parameters.width;
    let column = index % parameters.width;
    let source = column + parameters.x_first;
    var value = 0.0;
    if source < parameters.x_columns {
        value = x[row * parameters.x_columns + source];
    }
    y[row * parameters.y_columns + parameters.y_first + column] = value;
}
