// y = x summed over the dimensions that were repeated when y was broadcast to x's shape.
//
// x: contiguous, up to five dimensions; y: the same with size 1 where it is summed.
// One workgroup computes one element of y. Invocation i adds the terms i, i + 256, ... in order, then the 256 partial sums
// are added pairwise in a fixed tree, so the result is the same in every run.

struct Parameters {
    terms: u32,  // summed elements for each element of y
    size_inner: u32,
    summed_inner: u32,  // 1 where the dimension is summed
    count: u32,
    sizes_outer: vec4<u32>,
    summed_outer: vec4<u32>,
}

@group(0) @binding(0) var<uniform> parameters: Parameters;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

var<workgroup> partial: array<f32, 256>;

// The place in x of term `term` of y's element `element`: dimensions from the last on, each taking its index from one or
// the other.
fn place(element: u32, term: u32) -> u32 {
    var of_element = element;
    var of_term = term;
    var stride = 1u;
    var result = 0u;
    for (var dimension = 4i; dimension >= 0i; dimension--) {
        var size = parameters.size_inner;
        var summed = parameters.summed_inner;
        if dimension < 4i {
            size = parameters.sizes_outer[dimension];
            summed = parameters.summed_outer[dimension];
        }
        if summed == 1u {
            result += (of_term % size) * stride;
            of_term /= size;
        } else {
            result += (of_element % size) * stride;
            of_element /= size;
        }
        stride *= size;
    }
    return result;
}

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let element = flat_workgroup(group, groups);
    if element >= parameters.count {
        return;
    }
    var sum = 0.0;
    for (var term = lane; term < parameters.terms; term += 256u) {
        sum += x[place(element, term)];
    }
    partial[lane] = sum;
    workgroupBarrier();  // partial is complete before others are read
    for (var half = 128u; half > 0u; half /= 2u) {
        if lane < half {
            partial[lane] += partial[lane + half];
        }
        workgroupBarrier();  // this level is complete before the next reads it
    }
    if lane == 0u {
        y[element] = partial[0];
    }
}
