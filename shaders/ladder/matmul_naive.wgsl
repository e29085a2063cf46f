// C = A B, the first rung of the ladder: every operand comes from global memory.
//
// A: [rows, depth], B: [depth, columns], C: [rows, columns], all row-major. One invocation computes one element of C;
// neighbours are in one row of C, so that they read one element of A together and neighbouring ones of B. Each element of A is
// read `columns` times and each of B `rows` times, two loads for each multiplication.
//
// The sum runs over the depth in order. No barrier: no invocation waits for another.

struct Parameters {
    rows: u32,
    columns: u32,
    depth: u32,
}

@group(0) @binding(0) var<uniform> parameters: Parameters;
@group(0) @binding(1) var<storage, read> a: array<f32>;
@group(0) @binding(2) var<storage, read> b: array<f32>;
@group(0) @binding(3) var<storage, read_write> c: array<f32>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let place = flat_workgroup(group, groups) * 256u + lane;
    if place >= parameters.rows * parameters.columns {
        return;
    }
    let row = place / parameters.columns;
    let column = place % parameters.columns;
    var sum = 0.0;
    for (var k = 0u; k < parameters.depth; k++) {
        sum = fma(a[row * parameters.depth + k], b[k * parameters.columns + column], sum);
    }
    c[place] = sum;
}
