// Two sums at once over the SPAN invocations that share a row; SPAN is a power of two from 8 to 256, and a workgroup of 256
// holds 256 / SPAN rows.
//
// In two rounds: every invocation adds up the values of its 8 neighbours, then the sums of all such groups in its row. All
// read the same words at the same time, which costs one read, and there are two barriers where halving the row again and
// again would need one for each level. The order is fixed, so the sums are the same in every run and in every invocation.

const SUMMED_NEIGHBOURS: u32 = 8u;
const SUMMED_GROUPS: u32 = SPAN / SUMMED_NEIGHBOURS;

var<workgroup> partial_sums: array<vec2<f32>, 256>;
var<workgroup> group_sums: array<vec2<f32>, 32>;

// Every invocation of the workgroup must call this, and each gets the sums of its own row.
fn row_sums(value: vec2<f32>, lane: u32) -> vec2<f32> {
    let group = lane / SUMMED_NEIGHBOURS;
    partial_sums[lane] = value;
    workgroupBarrier();  // all values are there; and the group sums of the call before have been read
    var sum = vec2<f32>();
    for (var at = 0u; at < SUMMED_NEIGHBOURS; at++) {
        sum += partial_sums[group * SUMMED_NEIGHBOURS + at];
    }
    if lane % SUMMED_NEIGHBOURS == 0u {
        group_sums[group] = sum;
    }
    workgroupBarrier();  // all groups are there; and all values have been read, so that the next call may write
    if SUMMED_GROUPS > 1u {
        sum = vec2<f32>();
        for (var at = 0u; at < SUMMED_GROUPS; at++) {
            sum += group_sums[lane / SPAN * SUMMED_GROUPS + at];
        }
    }
    return sum;
}
