// d_x[.., v, ..] = sum of d_y[.., i, ..] over the i whose index is v, the gradient of gather/forward.wgsl.
//
// Layouts as in gather/layout.wgsl. One invocation computes one element of d_x: it looks at all indices that could name it,
// in order, and adds what belongs to it. No atomics, and the same order in every run; elements beyond the index's other
// sizes get 0.

@group(0) @binding(1) var<storage, read> index: array<u32>;
@group(0) @binding(2) var<storage, read> d_y: array<f32>;
@group(0) @binding(3) var<storage, read_write> d_x: array<f32>;

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
    var along = 1u;  // y's stride in the dimension of the index
    var own = 0u;    // this element's coordinate there
    var y_place = 0u;
    var index_place = 0u;
    var named = true;
    for (var back = 0u; back < 5u; back++) {
        let dimension = 4u - back;
        let coordinate = rest % x_size(dimension);
        rest /= x_size(dimension);
        if dimension == parameters.dimension {
            along = stride;
            own = coordinate;
        } else {
            named = named && coordinate < y_size(dimension);
            y_place += coordinate * stride;
            index_place += coordinate * index_stride(dimension);
        }
        stride *= y_size(dimension);
    }
    let count = select(0u, y_size(parameters.dimension), named);
    let step = index_stride(parameters.dimension);
    var sum = 0.0;
    for (var i = 0u; i < count; i++) {
        if index[index_place + i * step] == own {
            sum += d_y[y_place + i * along];
        }
    }
    d_x[element] = sum;
}
