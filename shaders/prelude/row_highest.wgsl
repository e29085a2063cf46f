// The largest value among the SPAN invocations that share a row; SPAN is a power of two up to 256, and a workgroup of 256
// holds 256 / SPAN rows.

var<workgroup> partial_highest: array<f32, 256>;

// Every invocation of the workgroup must call this, and each gets the maximum of its own row.
fn row_highest(value: f32, lane: u32) -> f32 {
    let within = lane % SPAN;
    workgroupBarrier();  // everybody has read the result of the call before
    partial_highest[lane] = value;
    workgroupBarrier();  // all values are there
    for (var half = SPAN / 2u; half > 0u; half /= 2u) {
        if within < half {
            partial_highest[lane] = max(partial_highest[lane], partial_highest[lane + half]);
        }
        workgroupBarrier();  // this level is complete before the next reads it
    }
    return partial_highest[lane - within];
}
