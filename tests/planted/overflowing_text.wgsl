// A raw exp, and arrayLength.
enable f16;

@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) position: vec3<u32>) {
    if position.x < arrayLength(&x) {
        y[position.x] = exp (x[position.x]);  // not safe_exp(x)
    }
}
