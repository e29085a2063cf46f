// Normal numbers with mean 0 and the given deviation, rounded to f16 and stored in pairs: Philox4x32-10 with the place of four
// neighbours as counter, and Box and Muller's rule: sqrt(-2 ln u) (cos 2 pi v, sin 2 pi v), u in (0, 1], v in [0, 1).
//
// y: f16 [4 · quads]. One invocation makes four numbers. Cosine and sine of a whole turn are
// polynomials over an eighth of it, so that every driver gives the same.

struct Parameters {
    quads: u32,
    deviation: f32,
    seed_low: u32,
    seed_high: u32,
}

@group(0) @binding(0) var<uniform> parameters: Parameters;
@group(0) @binding(1) var<storage, read_write> y: array<vec2<u32>>;

// (cos 2 pi v, sin 2 pi v) for 0 <= v < 1: of the distance to the nearest quarter, then turned by quarters.
fn turned(v: f32) -> vec2<f32> {
    let quarter = floor(4.0 * v + 0.5);
    let x = (v - 0.25 * quarter) * 6.283185307;
    let square = x * x;
    let cosine = 1.0 - square * (0.5 - square * (1.0 / 24.0 - square / 720.0));
    let sine = x * (1.0 - square * (1.0 / 6.0 - square * (1.0 / 120.0 - square / 5040.0)));
    let half = select(vec2<f32>(cosine, sine), vec2<f32>(-sine, cosine), u32(quarter) % 2u == 1u);
    return select(half, -half, u32(quarter) % 4u >= 2u);
}

fn pair(words: vec2<u32>) -> vec2<f32> {
    let u = (f32(words.x >> 8u) + 1.0) * 0x1p-24;
    return parameters.deviation * sqrt(-2.0 * safe_log(u)) * turned(f32(words.y >> 8u) * 0x1p-24);
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
