// C = A B, the second rung of the ladder: panels of the operands wait in workgroup memory.
//
// A: [rows, depth], B: [depth, columns], C: [rows, columns], all row-major. A workgroup computes a TILE x TILE tile of C in
// steps of TILE along the depth, an invocation one element of it. Each element of A and B that a workgroup needs is read from
// global memory once and used TILE times from workgroup memory; two loads from there for each multiplication remain.
//
// Beyond the matrices a panel holds zeros, which add nothing. Barriers: one after the panels are stored, so that all elements
// are there; one after the multiply, before they are replaced.

struct Parameters {
    rows: u32,
    columns: u32,
    depth: u32,
    column_tiles: u32,
}

const TILE = 16u;

@group(0) @binding(0) var<uniform> parameters: Parameters;
@group(0) @binding(1) var<storage, read> a: array<f32>;
@group(0) @binding(2) var<storage, read> b: array<f32>;
@group(0) @binding(3) var<storage, read_write> c: array<f32>;

var<workgroup> a_panel: array<f32, TILE * TILE>;
var<workgroup> b_panel: array<f32, TILE * TILE>;

@compute @workgroup_size(TILE * TILE)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let tile = flat_workgroup(group, groups);
    let first_row = (tile / parameters.column_tiles) * TILE;
    // Folding may add workgroups behind the last tile.
    if first_row >= parameters.rows {
        return;
    }
    let row = first_row + lane / TILE;
    let column = (tile % parameters.column_tiles) * TILE + lane % TILE;
    var sum = 0.0;
    for (var depth = 0u; depth < parameters.depth; depth += TILE) {
        let a_column = depth + lane % TILE;
        let b_row = depth + lane / TILE;
        var a_value = 0.0;
        if row < parameters.rows && a_column < parameters.depth {
            a_value = a[row * parameters.depth + a_column];
        }
        var b_value = 0.0;
        if b_row < parameters.depth && column < parameters.columns {
            b_value = b[b_row * parameters.columns + column];
        }
        a_panel[lane] = a_value;
        b_panel[lane] = b_value;
        workgroupBarrier();
        for (var k = 0u; k < TILE; k++) {
            sum = fma(a_panel[(lane / TILE) * TILE + k], b_panel[k * TILE + lane % TILE], sum);
        }
        workgroupBarrier();
    }
    if row < parameters.rows && column < parameters.columns {
        c[row * parameters.columns + column] = sum;
    }
}
