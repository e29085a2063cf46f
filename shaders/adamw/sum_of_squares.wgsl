// Partial sums of squares of one gradient, and whether all of it is finite: the first stage of the norm.
//
// gradient: [count]; partials: pairs (bits of Σ x², tensor or NONE), those of this tensor from `first_partial` on.
// One workgroup sums 8,192 elements: invocation i those at i, i + 256, ... in order, then the 256 sums are added pairwise
// in a fixed tree. Finite or not is told by bits, since a compiler may assume that x is finite.
// Each barrier separates a level of the tree from the next; the loop has the same bounds in all invocations.

const LANES: u32 = 256u;
const ELEMENTS: u32 = 32u;  // a lane

struct Parameters {
    count: u32,
    first_partial: u32,
    tensor: u32,  // its place among all
}

@group(0) @binding(0) var<uniform> parameters: Parameters;
@group(0) @binding(1) var<storage, read> gradient: array<f32>;
@group(0) @binding(2) var<storage, read_write> partials: array<vec2<u32>>;

var<workgroup> sums: array<f32, LANES>;
var<workgroup> bad: array<u32, LANES>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let block = flat_workgroup(group, groups);
    let first = block * LANES * ELEMENTS;
    if first >= parameters.count {
        return;
    }
    var sum = 0.0;
    var found = 0u;
    for (var place = first + lane; place < min(first + LANES * ELEMENTS, parameters.count); place += LANES) {
        let x = gradient[place];
        found |= select(1u, 0u, is_finite(x));
        sum += x * x;
    }
    sums[lane] = sum;
    bad[lane] = found | select(1u, 0u, is_finite(sum));
    workgroupBarrier();
    for (var half = LANES / 2u; half > 0u; half /= 2u) {
        if lane < half {
            sums[lane] += sums[lane + half];
            bad[lane] |= bad[lane + half];
        }
        workgroupBarrier();
    }
    if lane == 0u {
        let none_bad = bad[0] == 0u && is_finite(sums[0]);
        partials[parameters.first_partial + block] =
            vec2<u32>(bitcast<u32>(sums[0]), select(parameters.tensor, NONE, none_bad));
    }
}
