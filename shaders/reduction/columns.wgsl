// Where the columns of x [outer, n, inner] are: those of the kernels that reduce the middle dimension.
//
// Outer and inner indices together are the columns, so that short inner dimensions do not leave invocations idle. A
// workgroup takes COLUMNS neighbouring columns, a power of two, so that loads are of neighbouring words; its 256 / COLUMNS
// rows of invocations share the rows of a segment. Workgroups are numbered segment by segment.

struct Parameters {
    columns: u32,  // outer · inner
    tiles: u32,    // workgroups that take all columns
    n: u32,
    inner: u32,
    segments: u32,
    length: u32,   // rows of a segment; the last may have fewer
    factor: f32,   // of a sum
    divisor: u32,  // a place is stored as place / divisor mod modulus
    modulus: u32,
}

@group(0) @binding(0) var<uniform> parameters: Parameters;

const ROWS: u32 = 256u / COLUMNS;

struct Share {
    inside: bool,
    first: u32,   // the first row of this invocation
    end: u32,     // of the segment
    base: u32,    // where row 0 of the column is in x
    output: u32,  // the place among [outer, segments, inner]
}

fn share(group: u32, lane: u32) -> Share {
    let segment = group / parameters.tiles;
    let column = group % parameters.tiles * COLUMNS + lane % COLUMNS;
    let outer = column / parameters.inner;
    let within = column % parameters.inner;
    let first = segment * parameters.length;
    return Share(
        segment < parameters.segments && column < parameters.columns,
        first + lane / COLUMNS,
        min(first + parameters.length, parameters.n),
        outer * parameters.n * parameters.inner + within,
        (outer * parameters.segments + segment) * parameters.inner + within,
    );
}
