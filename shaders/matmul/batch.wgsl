// What a workgroup computes: which tile of which matrix of a batch, and over what part of the depth.
//
// Workgroups run over the tiles of a row of tiles, then over these rows, then over the matrices, then over the parts that the
// depth is cut into where there would be too few tiles to keep a GPU busy; the sums of each part are a tensor laid out like
// C, and matmul/sum_parts.wgsl adds them up.
//
// C's matrices are counted along up to three leading dimensions, of which an operand may lack some: it is then the same
// along them, with a stride of 0. If SUMMED, each matrix of C is the sum of `summed` products, counted along up to two more
// dimensions. Strides are in elements, from one matrix to the next along a dimension.

struct Parameters {
    rows: u32,
    columns: u32,
    depth: u32,
    accumulate: u32,  // 1: add to what C holds
    row_tiles: u32,
    column_tiles: u32,
    matrices: u32,
    summed: u32,
    a_offset: u32,
    b_offset: u32,
    c_offset: u32,
    middle_size: u32,
    inner_size: u32,
    summed_inner_size: u32,
    a_outer: u32,
    a_middle: u32,
    a_inner: u32,
    a_summed_outer: u32,
    a_summed_inner: u32,
    b_outer: u32,
    b_middle: u32,
    b_inner: u32,
    b_summed_outer: u32,
    b_summed_inner: u32,
    parts: u32,
    part_depth: u32,  // a multiple of the depth of a step
}

@group(0) @binding(0) var<uniform> parameters: Parameters;

struct Work {
    matrix: u32,  // not below parameters.matrices: there is nothing to do
    part: u32,
    row: u32,     // the tile's first
    column: u32,
    depth: u32,   // from here
    end: u32,     // to here
}

fn work_of(workgroup: u32) -> Work {
    let row_of_tiles = workgroup / parameters.column_tiles;
    let matrix = row_of_tiles / parameters.row_tiles;
    let part = matrix / max(parameters.matrices, 1u);
    let depth = part * parameters.part_depth;
    return Work(
        select(matrix % max(parameters.matrices, 1u), parameters.matrices, part >= parameters.parts),
        part,
        (row_of_tiles % parameters.row_tiles) * TILE_M,
        (workgroup % parameters.column_tiles) * TILE_N,
        depth,
        min(depth + parameters.part_depth, parameters.depth),
    );
}

// Where a matrix of C, or of sums over a part of the depth, starts.
fn output_place(work: Work) -> u32 {
    return parameters.c_offset + (work.part * parameters.matrices + work.matrix) * parameters.rows * parameters.columns;
}

// Where the operands of C's matrix `matrix` start: of the first product, if several are summed.
fn operands(matrix: u32) -> vec2<u32> {
    let inner = matrix % parameters.inner_size;
    let rest = matrix / parameters.inner_size;
    let middle = rest % parameters.middle_size;
    let outer = rest / parameters.middle_size;
    return vec2<u32>(
        parameters.a_offset + outer * parameters.a_outer + middle * parameters.a_middle + inner * parameters.a_inner,
        parameters.b_offset + outer * parameters.b_outer + middle * parameters.b_middle + inner * parameters.b_inner,
    );
}

// How much further the operands of product `item` of the summed ones are.
fn further(item: u32) -> vec2<u32> {
    let inner = item % parameters.summed_inner_size;
    let outer = item / parameters.summed_inner_size;
    return vec2<u32>(
        outer * parameters.a_summed_outer + inner * parameters.a_summed_inner,
        outer * parameters.b_summed_outer + inner * parameters.b_summed_inner,
    );
}
