// What the attention kernels on matrix units share: four subgroups a workgroup, each with EACH rows of its own as left
// operands in registers; tiles of 32 rows of the other operand pass by in workgroup memory.
//
// Matrices are opaque, so scores go through workgroup memory: a subgroup multiplies and stores them (f32), plain code turns
// them into weights (f16), and a subgroup loads these as left operands of the next product. EACH is 16, or in the gradients up to
// D = 64 32: a subgroup's sums, operands and scores stay in registers then, all loops over them being written out. Rows in workgroup memory are padded by 8 halves or
// 4 floats; without, matrices are loaded at half the speed.
//
// The kernel that includes this file defines `read_operand`, which reads four columns of the operand that `which` says, and
// `halves`, its workgroup memory for f16. Rows that do not exist are put there as 0.

const THREADS: u32 = 4u * SUBGROUP;
const HIGH: u32 = EACH / 16u;  // matrices that a subgroup's rows are high
const DEPTH: u32 = HEAD_DIM / 16u;  // matrices across head_dim
const COLUMNS: u32 = 32u;  // rows of a passing tile, columns of the scores
const WIDE: u32 = 2u;  // matrices across the scores
const PACKS: u32 = HEAD_DIM / 4u;  // vectors of four a row
const PITCH: u32 = PACKS + 2u;  // the same in workgroup memory
const WEIGHT_PITCH: u32 = COLUMNS / 4u + 2u;
const SCORE_PITCH: u32 = COLUMNS / 4u + 1u;

// Gradients of scores are rounded to f16 times this: far enough from the smallest numbers for the weights of thousands of
// keys, and from the largest for |do . v - delta| up to 1000.
const SPREAD: f32 = 64.0;

// Rows of an operand: the place of the first, the distance from one to the next, both in vectors of four, and how many there
// are.
struct Rows {
    place: u32,
    stride: u32,
    count: u32,
}

// Rows of query and what is laid out like it, from `first` up to `end`, `most` at most.
fn query_rows(batch: u32, first: u32, head: u32, most: u32, end: u32) -> Rows {
    let count = min(most, max(first, end) - first);
    return Rows(query_place(batch, first, head) / 4u, parameters.heads * PACKS, count);
}

// The same of key and value.
fn key_rows(batch: u32, first: u32, kv_head: u32, most: u32, end: u32) -> Rows {
    let count = min(most, max(first, end) - first);
    return Rows(key_place(batch, first, kv_head) / 4u, parameters.kv_heads * PACKS, count);
}

// Vector `index` of some rows, counted row by row. The load has no condition, which would be waited for: for what does not
// exist the operand's first vector is read, and 0 taken.
fn fetch(which: u32, rows: Rows, index: u32) -> vec4<f16> {
    let row = index / PACKS;
    let exists = row < rows.count;
    let place = rows.place + row * rows.stride + index % PACKS;
    return select(vec4<f16>(), read_operand(which, select(0u, place, exists)), exists);
}

// This invocation's share of a tile of 32 rows: 32 · PACKS vectors are DEPTH for each of the 128 invocations.
fn fetch_tile(which: u32, rows: Rows, lane: u32) -> array<vec4<f16>, DEPTH> {
    var tile: array<vec4<f16>, DEPTH>;
    for (var i = 0u; i < DEPTH; i++) {
        tile[i] = fetch(which, rows, lane + THREADS * i);
    }
    return tile;
}

// Where vector `index` of rows lies behind the beginning of their place in workgroup memory.
fn padded(index: u32) -> u32 {
    return index / PACKS * PITCH + index % PACKS;
}

fn put_tile(tile: ptr<function, array<vec4<f16>, DEPTH>>, place: u32, lane: u32) {
    for (var i = 0u; i < DEPTH; i++) {
        halves[place + padded(lane + THREADS * i)] = (*tile)[i];
    }
}
