// A barrier in a loop that each invocation repeats as often as it likes.
//
// x: [count], y: [count]. Not a kernel of the engine: the portability test must report it.
// Invocation i of workgroup g has element 64 g + i.

struct Parameters {
    count: u32,
    steps: u32,
}

@group(0) @binding(0) var<uniform> parameters: Parameters;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

var<workgroup> shared_values: array<f32, 64>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let place = min(group.x * 64u + lane, parameters.count - 1u);
    for (var step = lane; step < parameters.steps; step += 64u) {
        shared_values[lane] = x[place];
        workgroupBarrier();
    }
    y[place] = shared_values[0];
}
