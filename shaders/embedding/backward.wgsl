// d_table[v, k] = Σ dy[i, k] over the positions i with ids[i] = v.
//
// dy: [count, width]; sorted: [count] pairs (id, position), stable; starts: [vocabulary + 1]; d_table: [vocabulary, width],
// all of it written, rows without positions with 0.
// One workgroup computes COLUMNS columns of one row. Its invocations are COLUMNS columns × SPLITS splits: split s adds the
// row's positions s, s + SPLITS, ... in order, in short sums so that rounding errors grow slowly; then the splits are added from first to last. The order depends on the ids
// alone, so every run gives the same bits. Generated constant: SPLITS, 8 for small vocabularies, whose rows have many
// positions each, and 2 for large ones, most of whose rows have none.
// The barrier comes between writing `partial` and reading it; all invocations reach it.

const COLUMNS: u32 = 256u / SPLITS;
const SHORT_SUM: u32 = 16u;

struct Parameters {
    rows: u32,
    width: u32,
    tiles: u32,  // ⌈width / COLUMNS⌉
}

@group(0) @binding(0) var<uniform> parameters: Parameters;
@group(0) @binding(1) var<storage, read> dy: array<f32>;
@group(0) @binding(2) var<storage, read> sorted: array<vec2<u32>>;
@group(0) @binding(3) var<storage, read> starts: array<u32>;
@group(0) @binding(4) var<storage, read_write> d_table: array<f32>;

var<workgroup> partial: array<f32, 256>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let flat = flat_workgroup(group, groups);
    let row = flat / parameters.tiles;
    if row >= parameters.rows {
        return;
    }
    let column = (flat % parameters.tiles) * COLUMNS + lane % COLUMNS;
    let split = lane / COLUMNS;
    var sum = 0.0;
    if column < parameters.width {
        let end = starts[row + 1u];
        var place = starts[row] + split;
        while place < end {
            let stop = min(end, place + SHORT_SUM * SPLITS);
            var part = 0.0;
            for (; place < stop; place += SPLITS) {
                part += dy[sorted[place].y * parameters.width + column];
            }
            sum += part;
        }
    }
    partial[lane] = sum;
    workgroupBarrier();
    if split == 0u && column < parameters.width {
        for (var other = 1u; other < SPLITS; other++) {
            sum += partial[other * COLUMNS + lane];
        }
        d_table[row * parameters.width + column] = sum;
    }
}
