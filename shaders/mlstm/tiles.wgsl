// out = (s decay (A B^T + term)) E + row_weight (A G + extra_row g^T): the output and the gradients of a chunk in tiles.
//
// A: row operand [rows, depth], B: column operand [columns, depth], E: summed operand [columns, width], G: the state
// [depth, width] at the chunk's border, g: its n. The part before this file says which tensors these are, whether rows are
// queries and columns keys or the reverse, and what is written. Rows and columns are positions of one chunk.
// One workgroup computes 64 rows x 64 WIDE columns of the output, 4 x 4 WIDE an invocation: first A G in panels of 16, then,
// for each tile of 32 positions on the other axis that the mask does not rule out, the scores 64 x 32 in panels of 16, their
// decay, and their product with E in two halves of 16. Each panel is on its way while the one before is multiplied.
// WIDE is 1, or 2 where the output has more than 64 columns and the device the memory: the scores are then computed half as often.
// How panels are loaded: mlstm/tile_panels.wgsl.
// The stabiliser m_t is known before the products, so every exponent is at most 0 and nothing is rescaled.
// Barriers: a panel is complete before it is multiplied, and multiplied before the next overwrites it; scores are complete
// before they meet E, and read before the next tile's. The sum of a row's weights is put together at the end from parts, one
// for each of the 16 invocations that share the row.

const ROWS: u32 = 64u;
const COLUMNS: u32 = 32u;
const WIDTH: u32 = 64u * WIDE;
const DEPTH: u32 = 16u;
// Vectors a panel row, one more than it holds: rows fall into different banks. Of 64 elements, and of the output's columns.
const PAD: u32 = 17u;
const WIDE_PAD: u32 = 16u * WIDE + 1u;

var<workgroup> wide_panel: array<vec4<f32>, 16u * WIDE_PAD>;  // [16][64]: A transposed; or [16][64 WIDE]: E
var<workgroup> narrow_panel: array<f32, 528>;                 // [16][32], rows of 33: B transposed
var<workgroup> scores: array<vec4<f32>, 544>;                 // [32][64]: scores transposed; or [16][64 WIDE]: the state

var<workgroup> normalizers: array<f32, 16>;          // n in the rows of a panel of the state

var<private> cell: u32;
var<private> chunk: u32;
var<private> first: u32;  // the chunk's first position
var<private> count: u32;  // and its positions

// Four scores, rows `row` to `row + 3` and one column: times s decay, 0 where masked.
fn decayed(products: vec4<f32>, levels: vec4<f32>, terms: vec4<f32>, row: u32, column: u32) -> vec4<f32> {
    if column >= count || row >= count {
        return vec4<f32>(0.0);
    }
    let last = count - 1u;
    var result = vec4<f32>(0.0);
    if ROWS_ARE_QUERIES {
        let sums = sums_to_queries(cell, first, last, column, row);
        let log_input = gates[plane(LOG_INPUT, cell, first + column)];
        for (var at = 0u; at < 4u; at++) {
            let weight = parameters.scale * safe_exp(sums[at] + log_input - levels[at]);
            result[at] = select(0.0, weight * (products[at] + terms[at]), column <= row + at && row + at < count);
        }
    } else {
        let sums = sums_from_keys(cell, first, last, row, column);
        let level = stabilizer(cell, chunk, first + column);
        let term = score_term(cell, first + column);
        for (var at = 0u; at < 4u; at++) {
            let weight = parameters.scale * safe_exp(sums[at] + levels[at] - level);
            result[at] = select(0.0, weight * (products[at] + term), row + at <= column);
        }
    }
    return result;
}

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let across = (width_size() + WIDTH - 1u) / WIDTH;
    let down = (parameters.chunk_size + ROWS - 1u) / ROWS;
    let flat = flat_workgroup(group, groups);
    if flat >= across * down * parameters.chunks * parameters.cells {
        return;
    }
    let rows_here = chunk_rows(flat / (across * down) % parameters.chunks);
    let first_row = flat / across % down * ROWS;
    let first_width = flat % across * WIDTH;
    if first_row >= rows_here {
        return;
    }
    cell = flat / (across * down) / parameters.chunks;
    chunk = flat / (across * down) % parameters.chunks;
    first = chunk * parameters.chunk_size;
    count = rows_here;
    let row = lane / 16u * 4u;       // this invocation's rows in the tile
    let quad = lane % 16u;           // and its four columns in each 64 of the output
    var sums: array<vec4<f32>, 4u * WIDE>;  // [block of 64 columns][row], four columns of the output each
    var row_sum = vec4<f32>(0.0);

    // What each row of this invocation is multiplied with and compared to.
    var levels = vec4<f32>(0.0);
    var terms = vec4<f32>(0.0);
    var weights = vec4<f32>(0.0);
    for (var at = 0u; at < 4u; at++) {
        let t = first + first_row + row + at;
        if first_row + row + at < count {
            if ROWS_ARE_QUERIES {
                levels[at] = stabilizer(cell, chunk, t);
                terms[at] = score_term(cell, t);
            } else {
                levels[at] = gates[plane(LOG_INPUT, cell, t)];
            }
            weights[at] = row_weight(cell, chunk, t);
        }
    }

    let normalizer = normalizer_start(state_slot(chunk), cell);
    var next_rows = fetch_row_panel(lane, first_row, 0u);
    var next_state: array<vec4<f32>, WIDE>;
    for (var block = 0u; block < WIDE; block++) {  // unrolled
        next_state[block] = fetch_state_panel(lane, 0u, first_width + block * 64u);
    }
    var next_normalizer = 0.0;
    if HAS_DEN {
        next_normalizer = fetch_normalizer(lane, 0u);
    }
    for (var depth = 0u; depth < depth_size(); depth += DEPTH) {
        put_row_panel(lane, next_rows);
        for (var block = 0u; block < WIDE; block++) {  // unrolled
            put_state_panel(lane, block, next_state[block]);
        }
        if HAS_DEN && lane < DEPTH {
            normalizers[lane] = next_normalizer;
        }
        workgroupBarrier();
        // The rows are needed again, from the first panel on.
        next_rows = fetch_row_panel(lane, first_row, select(0u, depth + DEPTH, depth + DEPTH < depth_size()));
        for (var block = 0u; block < WIDE; block++) {  // unrolled
            next_state[block] = fetch_state_panel(lane, depth + DEPTH, first_width + block * 64u);
        }
        if HAS_DEN {
            next_normalizer = fetch_normalizer(lane, depth + DEPTH);
        }
        if HAS_DEN {
            row_sum += wide_panel[quad * PAD + lane / 16u] * normalizers[quad];
        }
        for (var at = 0u; at < DEPTH; at++) {  // unrolled
            let a = wide_panel[at * PAD + lane / 16u];
            for (var block = 0u; block < WIDE; block++) {  // unrolled
                let g = scores[at * WIDE_PAD + block * 16u + quad];
                sums[4u * block] += a.x * g;
                sums[4u * block + 1u] += a.y * g;
                sums[4u * block + 2u] += a.z * g;
                sums[4u * block + 3u] += a.w * g;
            }
        }
        workgroupBarrier();
    }
    row_sum *= weights;
    for (var at = 0u; at < 4u; at++) {  // unrolled
        for (var block = 0u; block < WIDE; block++) {  // unrolled
            sums[4u * block + at] *= weights[at];
        }
        // g belongs to the width where the state is read transposed.
        if STATE_TRANSPOSED && first_row + row + at < count {
            let extra = weights[at] * extra_row(cell, first + first_row + row + at);
            for (var block = 0u; block < WIDE; block++) {  // unrolled
                for (var part = 0u; part < 4u; part++) {  // unrolled
                    let width = first_width + block * 64u + quad * 4u + part;
                    if width < width_size() {
                        sums[4u * block + at][part] += extra * states[normalizer + width];
                    }
                }
            }
        }
    }

    let first_tile = select(first_row, 0u, ROWS_ARE_QUERIES);
    let end = select(rows_here, min(rows_here, first_row + ROWS), ROWS_ARE_QUERIES);
    var next_columns = fetch_column_panel(lane, first_tile, 0u);
    for (var tile = first_tile; tile < end; tile += COLUMNS) {
        var next_summed: array<vec4<f32>, WIDE>;
        for (var block = 0u; block < WIDE; block++) {  // unrolled
            next_summed[block] = fetch_summed_panel(lane, tile, first_width + block * 64u);
        }
        var left_scores = vec4<f32>(0.0);   // column lane % 16
        var right_scores = vec4<f32>(0.0);  // column lane % 16 + 16
        for (var depth = 0u; depth < depth_size(); depth += DEPTH) {
            put_row_panel(lane, next_rows);
            put_column_panel(lane, next_columns);
            workgroupBarrier();
            let more = depth + DEPTH < depth_size();
            next_rows = fetch_row_panel(lane, first_row, select(0u, depth + DEPTH, more));
            next_columns = fetch_column_panel(lane, select(tile + COLUMNS, tile, more), select(0u, depth + DEPTH, more));
            for (var at = 0u; at < DEPTH; at++) {  // unrolled
                let a = wide_panel[at * PAD + lane / 16u];
                left_scores += a * narrow_panel[at * 33u + quad];
                right_scores += a * narrow_panel[at * 33u + quad + 16u];
            }
            workgroupBarrier();
        }
        let left = decayed(left_scores, levels, terms, first_row + row, tile + quad);
        let right = decayed(right_scores, levels, terms, first_row + row, tile + quad + 16u);
        scores[quad * PAD + lane / 16u] = left;
        scores[(quad + 16u) * PAD + lane / 16u] = right;
        if HAS_DEN {
            row_sum += left + right;
        }
        for (var half = 0u; half < COLUMNS; half += 16u) {
            for (var block = 0u; block < WIDE; block++) {  // unrolled
                put_summed_panel(lane, block, next_summed[block]);
            }
            workgroupBarrier();
            for (var block = 0u; block < WIDE; block++) {  // unrolled
                next_summed[block] = fetch_summed_panel(lane, tile + half + 16u, first_width + block * 64u);
            }
            for (var at = 0u; at < 16u; at++) {  // unrolled
                let score = scores[(half + at) * PAD + lane / 16u];
                for (var block = 0u; block < WIDE; block++) {  // unrolled
                    let e = wide_panel[at * WIDE_PAD + block * 16u + quad];
                    sums[4u * block] += score.x * e;
                    sums[4u * block + 1u] += score.y * e;
                    sums[4u * block + 2u] += score.z * e;
                    sums[4u * block + 3u] += score.w * e;
                }
            }
            workgroupBarrier();
        }
    }
    if HAS_DEN {
        scores[lane / 16u * PAD + quad] = row_sum;
        workgroupBarrier();
        row_sum = vec4<f32>(0.0);
        for (var at = 0u; at < 16u; at++) {  // unrolled
            row_sum += scores[lane / 16u * PAD + at];
        }
    }
    for (var at = 0u; at < 4u; at++) {  // unrolled
        if first_row + row + at < count {
            let t = first + first_row + row + at;
            let divisor = divisor_of(row_sum[at], levels[at]);
            for (var block = 0u; block < WIDE; block++) {  // unrolled
                for (var part = 0u; part < 4u; part++) {  // unrolled
                    let width = first_width + block * 64u + quad * 4u + part;
                    if width < width_size() {
                        write(cell, t, width, sums[4u * block + at][part] / divisor, row_sum[at]);
                    }
                }
            }
        }
    }
}
