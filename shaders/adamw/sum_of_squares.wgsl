// Partial sums of squares of gradients, and whether all of them is finite: the first stage of the norm.
//
// A gradient is summed by workgroups of 8,192 elements each: invocation i adds those at i, i + 256, ... in order, then the 256
// sums are added pairwise in a fixed tree. Finite or not is told by bits, since a compiler may assume that x is finite.
// partials: pairs (bits of Σ x², tensor or NONE), one a workgroup, from `first_partial` on. How many gradients there are,
// which of them a workgroup sums (`task`) and where it reads (`element`) is in adamw/one_gradient.wgsl or
// adamw/six_gradients.wgsl.
// Each barrier separates a level of the tree from the next; the loop has the same bounds in all invocations.

const LANES: u32 = 256u;
const ELEMENTS: u32 = 32u;  // a lane
const AT_ONCE: u32 = 8u;

// What a workgroup sums: the elements from `first` to before `end` of a gradient.
struct Task {
    slot: u32,    // which of the bound gradients
    tensor: u32,  // its place among all
    first: u32,
    end: u32,
}

@group(0) @binding(0) var<uniform> parameters: Parameters;
@group(0) @binding(1) var<storage, read_write> partials: array<vec2<u32>>;

var<workgroup> sums: array<f32, LANES>;
var<workgroup> bad: array<u32, LANES>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let block = flat_workgroup(group, groups);
    if block >= parameters.blocks {
        return;
    }
    let task = task_of(block);
    var sum = 0.0;
    var found = 0u;
    for (var turn = 0u; turn < ELEMENTS; turn += AT_ONCE) {
        // Loaded without conditions, or each would be waited for by itself; what is beyond the end counts as 0.
        var loaded: array<f32, AT_ONCE>;
        for (var i = 0u; i < AT_ONCE; i++) {  // unrolled
            let place = task.first + (turn + i) * LANES + lane;
            loaded[i] = select(0.0, element(task.slot, min(place, task.end - 1u)), place < task.end);
        }
        for (var i = 0u; i < AT_ONCE; i++) {  // unrolled
            found |= select(1u, 0u, is_finite(loaded[i]));
            sum += loaded[i] * loaded[i];
        }
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
            vec2<u32>(bitcast<u32>(sums[0]), select(task.tensor, NONE, none_bad));
    }
}
