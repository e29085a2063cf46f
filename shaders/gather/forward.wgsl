// y[.., i, ..] = x[.., index[.., i, ..], ..] along the dimension in which the index stands.
//
// Layouts as in gather/layout.wgsl. One invocation computes one element. An index that is not below x's size is reported,
// reads nothing and gives NaN, from the parameters since the language has no literal for it.

@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> index: array<u32>;
@group(0) @binding(3) var<storage, read_write> y: array<u32>;
@group(0) @binding(4) var<storage, read_write> faults: array<atomic<u32>>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let element = flat_workgroup(group, groups) * 256u + lane;
    if element >= parameters.elements {
        return;
    }
    var rest = element;
    var stride = 1u;
    var along = 1u;  // x's stride in the dimension of the index
    var from_place = 0u;
    var index_place = 0u;
    for (var back = 0u; back < 5u; back++) {
        let dimension = 4u - back;
        let coordinate = rest % y_size(dimension);
        rest /= y_size(dimension);
        index_place += coordinate * index_stride(dimension);
        if dimension == parameters.dimension {
            along = stride;
        } else {
            from_place += coordinate * stride;
        }
        stride *= x_size(dimension);
    }
    let found = index[index_place];
    let limit = x_size(parameters.dimension);
    if found < limit {
        y[element] = bitcast<u32>(x[from_place + found * along]);
    } else {
        report_index(parameters.operation, found, limit);
        y[element] = parameters.not_a_number;
    }
}
