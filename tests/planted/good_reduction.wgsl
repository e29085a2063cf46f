// Sum of a workgroup's elements by halves.
//
// x: [count], y: [count]. Not a kernel of the engine: the portability test must pass it.
// Invocation i of workgroup g has element 64 g + i.

struct Parameters {
    count: u32,
    steps: u32,
}

@group(0) @binding(0) var<uniform> parameters: Parameters;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

var<workgroup> shared_values: array<f32, 64>;

fn halve(lane: u32, half: u32) {
    if lane < half {
        shared_values[lane] += shared_values[lane + half];
    }
    workgroupBarrier();
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let place = min(group.x * 64u + lane, parameters.count - 1u);
    var value = 0.0;
    for (var i = lane; i < parameters.count; i += 64u) {
        if x[i] < 0.0 {
            continue;
        }
        if x[i] > 1e6 {
            break;
        }
        value += x[i];
    }
    shared_values[lane] = value;
    workgroupBarrier();
    for (var half = 32u; half > 0u; half /= 2u) {
        halve(lane, half);
    }
    if lane > 0u {
        return;
    }
    y[place] = shared_values[0];
}
