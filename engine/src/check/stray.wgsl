// Writes one element too many: planted, to show that guard bands report it.

struct Parameters { count: u32 }

@group(0) @binding(0) var<uniform> parameters: Parameters;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) invocation: vec3<u32>) {
    if invocation.x <= parameters.count {
        y[invocation.x] = 1.0;
    }
}
