// words = philox(counter, key), for the test that compares the generator with its published values.

struct Parameters {
    counter: vec4<u32>,
    key: vec2<u32>,
}

@group(0) @binding(0) var<uniform> parameters: Parameters;
@group(0) @binding(1) var<storage, read_write> words: array<vec4<u32>>;

@compute @workgroup_size(1)
fn main() {
    words[0] = philox(parameters.counter, parameters.key);
}
