// The largest value among the SPAN invocations that share a row; SPAN is a power of two from 8 to 256, and a workgroup of
// 256 holds 256 / SPAN rows. In two rounds, as prelude/row_sums.wgsl explains.

const RANKED_NEIGHBOURS: u32 = 8u;
const RANKED_GROUPS: u32 = SPAN / RANKED_NEIGHBOURS;

var<workgroup> partial_highest: array<f32, 256>;
var<workgroup> group_highest: array<f32, 32>;

// Every invocation of the workgroup must call this, and each gets the maximum of its own row.
fn row_highest(value: f32, lane: u32) -> f32 {
    let group = lane / RANKED_NEIGHBOURS;
    partial_highest[lane] = value;
    workgroupBarrier();  // all values are there; and the group maxima of the call before have been read
    var most = value;
    for (var at = 0u; at < RANKED_NEIGHBOURS; at++) {
        most = max(most, partial_highest[group * RANKED_NEIGHBOURS + at]);
    }
    if lane % RANKED_NEIGHBOURS == 0u {
        group_highest[group] = most;
    }
    workgroupBarrier();  // all groups are there; and all values have been read, so that the next call may write
    if RANKED_GROUPS > 1u {
        for (var at = 0u; at < RANKED_GROUPS; at++) {
            most = max(most, group_highest[lane / SPAN * RANKED_GROUPS + at]);
        }
    }
    return most;
}
