// Two sums at once over the SPAN invocations that share a row; SPAN is a power of two up to 256, and a workgroup of 256
// holds 256 / SPAN rows. The sums are a fixed tree, so they are the same in every run.

var<workgroup> partial_sums: array<vec2<f32>, 256>;

// Every invocation of the workgroup must call this, and each gets the sums of its own row.
fn row_sums(value: vec2<f32>, lane: u32) -> vec2<f32> {
    let within = lane % SPAN;
    workgroupBarrier();  // everybody has read the result of the call before
    partial_sums[lane] = value;
    workgroupBarrier();  // all values are there
    for (var half = SPAN / 2u; half > 0u; half /= 2u) {
        if within < half {
            partial_sums[lane] += partial_sums[lane + half];
        }
        workgroupBarrier();  // this level is complete before the next reads it
    }
    return partial_sums[lane - within];
}
