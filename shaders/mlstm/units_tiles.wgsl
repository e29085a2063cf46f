// out = S E + pull (A G + y g^T) with S = s decay (A B^T + term), as mlstm/tiles.wgsl, on matrix units.
//
// A: row operand [rows, depth], B: column operand [columns, depth], E: summed operand [columns, width], G: the state
// [depth, width] at the chunk's border, in f32, g: its n. The parts before this file say which tensors these are, whether rows
// are queries and columns keys or the reverse, and what is written. Depth and width are multiples of 16.
//
// One workgroup of four subgroups computes 64 rows x 64 BLOCKS columns of the output, each subgroup all rows and 16 BLOCKS
// columns, in sums that stay where they are. First A G in panels of 32, the rows of A times their pull, G by its scale. Then for
// each tile of 32 positions on the other axis that the mask does not rule out: A B^T in panels of 64, each subgroup 16 rows;
// the products go through workgroup memory, where plain code makes the scores of them; scores times E.
// Nothing is rescaled on the way: every weight is known before the products, and a row's scale is taken back at the end.
// BLOCKS is 1, 2 or 4, by the width: the more, the fewer times scores are computed. The transposed state has room for 2.
// Panels: see mlstm/units_panels.wgsl. What lies outside the chunk or the tensors is not written.
// Barriers: a panel is complete before it is multiplied, and multiplied before the next overwrites it; products are there
// before the scores are made, scores and E before they are multiplied, and multiplied before the next tile's. At the end, sums
// are there before they are stored, and stored before the next ones come; the same with the dot products.

const STORE_PITCH: u32 = 36u;
const STORE_BLOCKS: u32 = select(BLOCKS, 2u, BLOCKS > 2u);
const STORE_QUADS: u32 = STORE_BLOCKS * 4u;     // vectors of a row that a subgroup stores at once
const STORES: u32 = STORE_QUADS / 2u;           // vectors of an invocation
const SHARES: u32 = STORE_QUADS * 4u;           // partial sums of a row's dot product

var<workgroup> row_results: array<vec2<f32>, ROWS>;
@compute @workgroup_size(128)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    // In sight here, and not in functions: else the language does not believe that all invocations agree. (Shared through
    // workgroup memory they did, and results were wrong on an NVIDIA card.)
    let flat = part_of_dispatch.first + group.x + groups.x * group.y;
    let across = (width_size() + WIDTH - 1u) / WIDTH;
    let down = (parameters.chunk_size + ROWS - 1u) / ROWS;
    let chunk = flat / (across * down) % parameters.chunks;
    let cell = flat / (across * down) / parameters.chunks;
    // 0 where there is no such cell.
    let positions = min(parameters.chunk_size, parameters.sequence - chunk * parameters.chunk_size);
    let count = select(0u, positions, cell < parameters.cells);
    let first_row = flat / across % down * ROWS;
    let first_width = flat % across * WIDTH;
    if first_row >= count {
        return;
    }
    let first = chunk * parameters.chunk_size;
    let subgroup = lane / SUBGROUP;
    let my_column = subgroup * 16u * BLOCKS;

    // Half a row is this invocation's, but in the end.
    let row_index = first_row + lane / 2u;
    let has_row = row_index < count;
    let scale = state_number(scale_place(state_slot(chunk), cell));
    var row = Row(0.0, 0.0, 0.0, 0.0, 0.0, 1.0);
    if has_row {
        row = row_terms(cell, chunk, first + row_index, scale);
    }
    var row_sum = 0.0;
    var sums: array<Sum, 4u * BLOCKS>;
    for (var i = 0u; i < 4u * BLOCKS; i++) {  // unrolled
        sums[i] = Sum();
    }

    let normalizer = normalizer_start(state_slot(chunk), cell);
    for (var depth = 0u; depth < depth_size(); depth += 32u) {
        for (var part = 0u; part < 4u; part++) {  // unrolled
            let quad = lane % 2u + part * 2u;
            let column = depth / 4u + quad;
            let exists = has_row & (column < depth_size() / 4u);
            let place = min(column, depth_size() / 4u - 1u);
            let loaded = vec4<f32>(row_quad(row_start(cell, first + min(row_index, count - 1u), depth_size()) / 4u + place));
            if HAS_DEN {
                let term = dot(loaded * (row.pull / scale), states[normalizer / 4u + place]);
                row_sum += select(0.0, term, exists);
            }
            narrow[lane / 2u * NARROW_PITCH + quad] = select(vec4<f16>(), vec4<f16>(loaded * row.pull), exists);
        }
        stage_state(lane, cell, chunk, depth, first_width, 1.0 / scale);
        workgroupBarrier();
        for (var k = 0u; k < 32u; k += 16u) {  // unrolled
            var left: array<Left, 4>;
            for (var i = 0u; i < 4u; i++) {  // unrolled
                let at = i * 16u * NARROW_PITCH + k / 4u;
                left[i] = coopLoadT<Left>(&narrow[at], NARROW_PITCH);
            }
            for (var j = 0u; j < BLOCKS; j++) {  // unrolled
                let right = state_matrix(k, my_column + j * 16u);
                for (var i = 0u; i < 4u; i++) {  // unrolled
                    sums[i * BLOCKS + j] = coopMultiplyAdd(left[i], right, sums[i * BLOCKS + j]);
                }
            }
        }
        workgroupBarrier();
    }

    let first_tile = select(first_row, 0u, ROWS_ARE_QUERIES);
    let end = select(count, min(count, first_row + ROWS), ROWS_ARE_QUERIES);
    for (var tile = first_tile; tile < end; tile += COLUMNS) {
        if lane < COLUMNS {
            columns[lane] = vec4<f32>(0.0);
            column_forget[lane] = 0.0;
            if tile + lane < count {
                columns[lane] = column_terms(cell, chunk, first + tile + lane);
                column_forget[lane] = gate(LOG_FORGET, cell, first + tile + lane);
            }
        }
        let edge = edge_of(cell, first, tile, row_index, row);
        var left_products = Sum();
        var right_products = Sum();
        for (var depth = 0u; depth < depth_size(); depth += 64u) {
            if depth > 0u {
                workgroupBarrier();
            }
            stage_operands(lane, cell, first, count, first_row, tile, depth);
            workgroupBarrier();
            for (var k = 0u; k < 64u; k += 16u) {  // unrolled
                let at = subgroup * 16u * DEEP_PITCH + k / 4u;
                let left = coopLoadT<Left>(&wide[at], DEEP_PITCH);
                let near_at = ROWS * DEEP_PITCH + k / 4u;
                let far_at = near_at + 16u * DEEP_PITCH;
                let near_right = coopLoad<Right>(&wide[near_at], DEEP_PITCH);
                let far_right = coopLoad<Right>(&wide[far_at], DEEP_PITCH);
                left_products = coopMultiplyAdd(left, near_right, left_products);
                right_products = coopMultiplyAdd(left, far_right, right_products);
            }
        }
        let at = subgroup * 16u * STORE_PITCH;
        let right_at = at + 16u;
        let left_half = left_products;
        let right_half = right_products;
        coopStoreT(left_half, &products[at], STORE_PITCH);
        coopStoreT(right_half, &products[right_at], STORE_PITCH);
        workgroupBarrier();
        stage_summed(lane, cell, first, count, tile, first_width);
        row_sum += weigh(lane, count, tile, row_index, row, edge);
        workgroupBarrier();
        for (var k = 0u; k < COLUMNS; k += 16u) {  // unrolled
            var left: array<Left, 4>;
            for (var i = 0u; i < 4u; i++) {  // unrolled
                let at = i * 16u * NARROW_PITCH + k / 4u;
                left[i] = coopLoadT<Left>(&narrow[at], NARROW_PITCH);
            }
            for (var j = 0u; j < BLOCKS; j++) {  // unrolled
                let at = k * WIDE_PITCH + (my_column + j * 16u) / 4u;
                let right = coopLoadT<Right>(&wide[at], WIDE_PITCH);
                for (var i = 0u; i < 4u; i++) {  // unrolled
                    sums[i * BLOCKS + j] = coopMultiplyAdd(left[i], right, sums[i * BLOCKS + j]);
                }
            }
        }
        workgroupBarrier();
    }

    // The two halves of a row together.
    if HAS_DEN {
        products[lane] = row_sum;
        workgroupBarrier();
        row_sum = products[lane / 2u * 2u] + products[lane / 2u * 2u + 1u];
        workgroupBarrier();
    }
    if has_row && lane % 2u == 0u {
        row_results[lane / 2u] = row_result(cell, chunk, first + row_index, row, row_sum, first_width == 0u);
    }
    workgroupBarrier();
    let within = lane % SUBGROUP;
    let quad = within % STORE_QUADS;
    let mine = subgroup * 16u * STORE_PITCH;
    for (var i = 0u; i < 4u; i++) {  // unrolled
        for (var j = 0u; j < BLOCKS; j += 2u) {  // unrolled
            // Loaded first, and without conditions, so that they need not be waited for one by one.
            var others: array<vec4<f32>, STORES>;
            var normalizers: array<vec4<f32>, STORES>;
            for (var part = 0u; part < STORES; part++) {  // unrolled
                let t = min(first_row + i * 16u + within / STORE_QUADS + part * (SUBGROUP / STORE_QUADS), count - 1u);
                let column = min(first_width + my_column + j * 16u + quad * 4u, width_size() - 4u);
                if HAS_DOTS {
                    others[part] = dot_quad((row_start(cell, first + t, width_size()) + column) / 4u);
                }
                if STATE_TRANSPOSED {
                    normalizers[part] = states[(normalizer + column) / 4u];
                }
            }
            let one = sums[i * BLOCKS + j];
            coopStoreT(one, &products[mine], STORE_PITCH);
            if BLOCKS > 1u {
                let two = sums[(i * BLOCKS + j + 1u) % (4u * BLOCKS)];
                let two_at = mine + 16u;
                coopStoreT(two, &products[two_at], STORE_PITCH);
            }
            workgroupBarrier();
            var dots: array<vec2<f32>, STORES>;
            for (var part = 0u; part < STORES; part++) {  // unrolled
                let down_here = within / STORE_QUADS + part * (SUBGROUP / STORE_QUADS);
                let t = first_row + i * 16u + down_here;
                let column = first_width + my_column + j * 16u + quad * 4u;
                dots[part] = vec2<f32>(0.0);
                if t < count && column < width_size() {
                    let at = mine + down_here * STORE_PITCH + quad * 4u;
                    let result = row_results[t - first_row];
                    var four = vec4<f32>(products[at], products[at + 1u], products[at + 2u], products[at + 3u]) * result.x;
                    if STATE_TRANSPOSED {
                        // n belongs to the width where the state is read transposed.
                        four += result.y * normalizers[part];
                    }
                    let place = (row_start(cell, first + t, width_size()) + column) / 4u;
                    write(place, four);
                    if HAS_DOTS {
                        let terms = four * others[part];
                        let sizes = abs(terms);
                        dots[part] =
                            vec2<f32>(terms.x + terms.y + terms.z + terms.w, sizes.x + sizes.y + sizes.z + sizes.w);
                    }
                }
            }
            workgroupBarrier();
            if HAS_DOTS {
                for (var part = 0u; part < STORES; part++) {  // unrolled
                    let down_here = within / STORE_QUADS + part * (SUBGROUP / STORE_QUADS);
                    let at = (down_here * SHARES + subgroup * STORE_QUADS + quad) * 2u;
                    products[at] = dots[part].x;
                    products[at + 1u] = dots[part].y;
                }
                workgroupBarrier();
                let t = first_row + i * 16u + lane;
                if lane < 16u && t < count {
                    var total = vec2<f32>(0.0);
                    for (var part = 0u; part < SHARES; part++) {
                        // Each row begins elsewhere, in a bank of its own.
                        let at = (lane * SHARES + (part + lane) % SHARES) * 2u;
                        total += vec2<f32>(products[at], products[at + 1u]);
                    }
                    write_dot(first_width / WIDTH, cell, first + t, total);
                }
                workgroupBarrier();
            }
        }
    }
}
