// y is x with its dimensions in another order, where the last dimension of x is not the last of y.
//
// Seen from x, dimension `from` is the last, with neighbouring elements; dimension `to` is the one that becomes the last of
// y. The other three, of sizes `others`, are gone through one by one. Elements are 32-bit words of any type.
//
// A workgroup moves a tile of 32 by 32 words of the plane of the two through workgroup memory, so that it reads along `from`
// and writes along `to`, both of which are neighbours in memory. A row of the tile is one word longer than it need be, which
// puts the words of a column into different banks.

struct Parameters {
    others: vec4<u32>,    // sizes of the other dimensions, then the number of tiles
    x_others: vec4<u32>,  // their strides in x, then the stride of `to` in x
    y_others: vec4<u32>,  // their strides in y, then the stride of `from` in y
    size_from: u32,
    size_to: u32,
    tiles_from: u32,
    tiles_to: u32,
}

@group(0) @binding(0) var<uniform> parameters: Parameters;
@group(0) @binding(1) var<storage, read> x: array<u32>;
@group(0) @binding(2) var<storage, read_write> y: array<u32>;

const TILE: u32 = 32u;
const ROWS: u32 = 8u;  // rows of a tile that the 256 invocations move at once

var<workgroup> tile: array<u32, 1056>;  // 32 rows of 33

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let index = flat_workgroup(group, groups);
    let inside = index < parameters.others.w;
    let first_from = index % parameters.tiles_from * TILE;
    let first_to = index / parameters.tiles_from % parameters.tiles_to * TILE;
    var rest = index / parameters.tiles_from / parameters.tiles_to;
    var x_base = 0u;
    var y_base = 0u;
    for (var at = 3u; at > 0u && rest > 0u; at--) {
        let place = rest % parameters.others[at - 1u];
        rest /= parameters.others[at - 1u];
        x_base += place * parameters.x_others[at - 1u];
        y_base += place * parameters.y_others[at - 1u];
    }
    let column = lane % TILE;
    for (var row = lane / TILE; row < TILE; row += ROWS) {
        if inside && first_from + column < parameters.size_from && first_to + row < parameters.size_to {
            tile[row * (TILE + 1u) + column] = x[x_base + (first_to + row) * parameters.x_others.w + first_from + column];
        }
    }
    workgroupBarrier();  // the tile is complete before others read it
    for (var row = lane / TILE; row < TILE; row += ROWS) {
        if inside && first_to + column < parameters.size_to && first_from + row < parameters.size_from {
            y[y_base + (first_from + row) * parameters.y_others.w + first_to + column] = tile[column * (TILE + 1u) + row];
        }
    }
}
