// The scores of a tile of 64 rows and 32 columns: their products, which the matrix units left in f32, times what belongs to
// their row, to their column and to both, rounded to f16 for the next product.
//
// The exponent of a weight is the sum of ln f over j < r <= t, put together from pieces as in mlstm/decay.wgsl, and two parts,
// of the row and of the column: ln of the key's input gate and minus the query's level. An invocation computes half a row, 16
// columns, from one end to the other: where row and columns are in one tile of 32, a running sum goes along.

// One row: `edge` is the sum of ln f from or to the border of its tile of 32; a score is
// factor * the column's factor * exp(exponent) * (product + term + the column's term); `pull` is what the row is multiplied
// with on its way to the state; sums are times 1 / fit too large.
struct Row {
    edge: f32,
    offset: f32,
    term: f32,
    factor: f32,
    pull: f32,
    fit: f32,
}

var<workgroup> products: array<f32, 2304>;          // [64][32], rows of 36
var<workgroup> narrow: array<vec4<f16>, 640>;       // [64][32], rows of 40: scores, or the panel of rows that meets the state
var<workgroup> columns: array<vec4<f32>, 32>;       // edge, offset, term, factor
var<workgroup> column_forget: array<f32, 32>;       // ln f

var<private> running: f32;

// The sum over whole tiles between two tiles of 32, numbered inside the chunk that starts at `first`.
fn between(cell: u32, first: u32, key_tile: u32, query_tile: u32) -> f32 {
    var sum = 0.0;
    for (var tile = key_tile + 1u; tile < query_tile; tile++) {
        sum += gate(TILE_PREFIX, cell, first + tile * TILE + TILE - 1u);
    }
    return sum;
}

// What the running sum takes up at column `at` of the tile, the row's place in the tile being `own`.
fn taken(at: u32, own: u32) -> f32 {
    return select(0.0, column_forget[at], select(at > own, at <= own, ROWS_ARE_QUERIES));
}

// Sums of ln f between the row and four columns of its own tile of 32; from the last columns to the first where rows are
// queries, from the first to the last where they are keys.
fn near(at: u32, own: u32) -> vec4<f32> {
    var result = vec4<f32>(0.0);
    if ROWS_ARE_QUERIES {
        result.w = running;
        running += taken(at + 3u, own);
        result.z = running;
        running += taken(at + 2u, own);
        result.y = running;
        running += taken(at + 1u, own);
        result.x = running;
        running += taken(at, own);
    } else {
        running += taken(at, own);
        result.x = running;
        running += taken(at + 1u, own);
        result.y = running;
        running += taken(at + 2u, own);
        result.z = running;
        running += taken(at + 3u, own);
        result.w = running;
    }
    return result;
}

fn weighted(product: f32, sum: f32, row: Row, column: vec4<f32>, used: bool) -> f32 {
    let weight = row.factor * column.w * safe_exp(sum + row.offset + column.y);
    return select(0.0, weight * (product + row.term + column.z), used);
}

// The sum of ln f between the row and the border of the tile `tile`, for a tile before the row's own where rows are queries,
// behind it where they are keys; for others 0.
fn edge_of(cell: u32, first: u32, tile: u32, row_index: u32, row: Row) -> f32 {
    let key_tile = select(row_index, tile, ROWS_ARE_QUERIES) / TILE;
    let query_tile = select(tile, row_index, ROWS_ARE_QUERIES) / TILE;
    if key_tile >= query_tile {
        return 0.0;
    }
    return row.edge + between(cell, first, key_tile, query_tile);
}

// Half a row of scores; their sum is given back. `tile` and `row_index` are places in the chunk of `count` positions.
fn weigh(lane: u32, count: u32, tile: u32, row_index: u32, row: Row, edge: f32) -> f32 {
    let half = lane % 2u * 16u;
    let is_near = tile / TILE == row_index / TILE;
    let own = row_index % TILE;
    let key_tile = select(row_index, tile, ROWS_ARE_QUERIES) / TILE;
    let query_tile = select(tile, row_index, ROWS_ARE_QUERIES) / TILE;
    if key_tile > query_tile {
        for (var step = 0u; step < 4u; step++) {
            narrow[lane / 2u * 10u + half / 4u + step] = vec4<f16>();
        }
        return 0.0;
    }
    running = 0.0;
    if is_near && ROWS_ARE_QUERIES {
        for (var at = TILE - 1u; at >= half + 16u; at--) {
            running += taken(at, own);
        }
    } else if is_near {
        for (var at = 0u; at < half; at++) {
            running += taken(at, own);
        }
    }
    var total = 0.0;
    for (var step = 0u; step < 4u; step++) {
        let at = half + select(step, 3u - step, ROWS_ARE_QUERIES) * 4u;
        let place = lane / 2u * 36u + at;
        let c0 = columns[at];
        let c1 = columns[at + 1u];
        let c2 = columns[at + 2u];
        let c3 = columns[at + 3u];
        var sums = edge + vec4<f32>(c0.x, c1.x, c2.x, c3.x);
        if is_near {
            sums = near(at, own);
        }
        let column = tile + at + vec4<u32>(0u, 1u, 2u, 3u);
        let reached = select(column >= vec4<u32>(row_index), column <= vec4<u32>(row_index), ROWS_ARE_QUERIES);
        let used = reached & (column < vec4<u32>(count)) & vec4<bool>(row_index < count);
        let scores = vec4<f32>(
            weighted(products[place], sums.x, row, c0, used.x),
            weighted(products[place + 1u], sums.y, row, c1, used.y),
            weighted(products[place + 2u], sums.z, row, c2, used.z),
            weighted(products[place + 3u], sums.w, row, c3, used.w),
        );
        total += (scores.x + scores.y) + (scores.z + scores.w);
        narrow[lane / 2u * 10u + at / 4u] = vec4<f16>(scores);
    }
    return total;
}
