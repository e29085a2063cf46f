// The two products that attention is made of, for one workgroup: 64 rows of the left operand, which stay, against 32 rows
// of the right one, which pass by.
//
// A workgroup is TX x 16 invocations; invocation (tx, ty) owns the rows 4 ty .. 4 ty + 3 and, of a 64 x 32 tile of
// scores, the columns tx, tx + TX, ...; of a 64 x D tile of sums, the vectors of four columns tx, tx + TX, ... (SLICES of
// them, multiplied SPAN at a time). Four rows are a vec4. Fewer and fuller invocations read less of workgroup memory for
// each multiplication, until the sums no longer fit into registers: TX is 8 for D <= 128 and 16 above.
//
// Operands are read through attention/rows.wgsl: what sticks out of them is 0.

const ROWS: u32 = 64u;
const COLUMNS: u32 = 32u;
const THREADS: u32 = TX * 16u;
const EACH: u32 = COLUMNS / TX;  // columns of scores an invocation
const DEPTH: u32 = 4u;  // vectors of head_dim that are multiplied at a time

// 8 KiB each: all of the 16 KiB that every device has.
var<workgroup> weights: array<vec4<f32>, 512>;  // [ty][column], four rows each, see weight_place
var<workgroup> tile: array<vec4<f32>, 512>;  // slices of the operands

// left . right^T: element [j] holds the invocation's four rows at column tx + TX j.
fn tile_product(which: u32, lane: u32) -> array<vec4<f32>, EACH> {
    let tx = lane % TX;
    let ty = lane / TX;
    var sums: array<vec4<f32>, EACH>;
    for (var first = 0u; first < parameters.head_dim; first += 4u * DEPTH) {
        for (var i = lane; i < ROWS * DEPTH; i += THREADS) {
            tile[(i % DEPTH) * ROWS + i / DEPTH] = load_left(which, i / DEPTH, first + 4u * (i % DEPTH));
        }
        for (var i = lane; i < COLUMNS * DEPTH; i += THREADS) {
            tile[ROWS * DEPTH + (i % DEPTH) * COLUMNS + i / DEPTH] =
                load_right(which, i / DEPTH, first + 4u * (i % DEPTH));
        }
        workgroupBarrier();  // the slices are complete before they are read
        for (var d = 0u; d < DEPTH; d++) {
            let a = d * ROWS + 4u * ty;
            let a0 = tile[a];
            let a1 = tile[a + 1u];
            let a2 = tile[a + 2u];
            let a3 = tile[a + 3u];
            for (var j = 0u; j < EACH; j++) {
                let b = tile[ROWS * DEPTH + d * COLUMNS + tx + TX * j];
                sums[j] += vec4<f32>(dot(a0, b), dot(a1, b), dot(a2, b), dot(a3, b));
            }
        }
        workgroupBarrier();  // the slices are read before they are overwritten
    }
    return sums;
}

// Where the weights of rows 4 ty .. 4 ty + 3 at a column are. Columns are rotated by ty: invocations that read one column
// for several ty would otherwise all hit the same bank of workgroup memory.
fn weight_place(ty: u32, column: u32) -> u32 {
    return ty * COLUMNS + (column + ty) % COLUMNS;
}

// Puts four rows at column tx + TX j into the weights that add_products multiplies.
fn set_weights(j: u32, rows: vec4<f32>, lane: u32) {
    weights[weight_place(lane / TX, lane % TX + TX * j)] = rows;
}

// sums += weights . right: sums[4 s + r] is row 4 ty + r at the vector of columns tx + TX s.
fn add_products(which: u32, sums: ptr<function, array<vec4<f32>, 4u * SLICES>>, lane: u32) {
    let tx = lane % TX;
    let ty = lane / TX;
    for (var first = 0u; first < SLICES; first += SPAN) {
        for (var i = lane; i < COLUMNS * TX * SPAN; i += THREADS) {
            tile[i] = load_right(which, i / (TX * SPAN), 4u * (first * TX + i % (TX * SPAN)));
        }
        workgroupBarrier();  // weights and slices are complete before they are read
        var block: array<vec4<f32>, 4u * SPAN>;
        for (var i = 0u; i < 4u * SPAN; i++) {
            block[i] = (*sums)[4u * first + i];
        }
        for (var column = 0u; column < COLUMNS; column++) {
            let weight = weights[weight_place(ty, column)];
            for (var s = 0u; s < SPAN; s++) {
                let b = tile[(column * SPAN + s) * TX + tx];
                block[4u * s] += weight.x * b;
                block[4u * s + 1u] += weight.y * b;
                block[4u * s + 2u] += weight.z * b;
                block[4u * s + 3u] += weight.w * b;
            }
        }
        for (var i = 0u; i < 4u * SPAN; i++) {
            (*sums)[4u * first + i] = block[i];
        }
        workgroupBarrier();  // weights and slices are read before they are overwritten
    }
}

fn exp_rows(x: vec4<f32>) -> vec4<f32> {
    return vec4<f32>(safe_exp(x.x), safe_exp(x.y), safe_exp(x.z), safe_exp(x.w));
}
