// Normal numbers with mean 0 and the given deviation, rounded to f16 and stored in pairs: Philox4x32-10 with the place of four
// neighbours as counter, and Box and Muller's rule: sqrt(-2 ln u) (cos 2 pi v, sin 2 pi v), u in (0, 1], v in [0, 1).
//
// y: f16 [4 · quads], from quad `first` on of a stream. One invocation makes four numbers. WGSL's cosine is good enough here,
// for arguments below 2 pi and numbers that are random anyway.

struct Parameters {
    quads: u32,
    deviation: f32,
    seed_low: u32,
    seed_high: u32,
}

@group(0) @binding(0) var<uniform> parameters: Parameters;
@group(0) @binding(1) var<storage, read_write> y: array<vec2<u32>>;

fn pair(words: vec2<u32>) -> vec2<f32> {
    let u = (f32(words.x >> 8u) + 1.0) * 0x1p-24;
    let angle = f32(words.y >> 8u) * 0x1p-24 * 6.283185307;
    return parameters.deviation * sqrt(-2.0 * safe_log(u)) * vec2<f32>(cos(angle), sin(angle));
}

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let index = flat_workgroup(group, groups) * 256u + lane;
    if index >= parameters.quads {
        return;
    }
    let words = philox(vec4<u32>(index, 0u, 0u, 0u), vec2<u32>(parameters.seed_low, parameters.seed_high));
    y[index] = vec2<u32>(pack2x16float(pair(words.xy)), pack2x16float(pair(words.zw)));
}
