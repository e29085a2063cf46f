// AdamW on one tensor, in place, if the step state says that the step is applied; the rule is in adamw/rule.wgsl.
//
// weight, first (m), second (v), gradient: [count]. One invocation updates four elements, 256 apart, so that neighbours
// touch neighbours.

const LANES: u32 = 256u;
const ELEMENTS: u32 = 4u;  // a lane

struct Parameters {
    beta1: f32,
    beta2: f32,
    rest1: f32,  // 1 - beta1, rounded once
    rest2: f32,
    epsilon: f32,
    count: u32,
    weight_decay: f32,
}

@group(0) @binding(0) var<uniform> parameters: Parameters;
@group(0) @binding(1) var<storage, read> state: array<u32>;
@group(0) @binding(2) var<storage, read> gradient: array<f32>;
@group(0) @binding(3) var<storage, read_write> weight: array<f32>;
@group(0) @binding(4) var<storage, read_write> first: array<f32>;
@group(0) @binding(5) var<storage, read_write> second: array<f32>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    if state[FINITE] == 0u {
        return;
    }
    let begin = flat_workgroup(group, groups) * LANES * ELEMENTS + lane;
    // All is loaded before anything is stored, and without conditions: else each load is waited for by itself.
    var old: array<Trained, ELEMENTS>;
    var gradients: array<f32, ELEMENTS>;
    for (var element = 0u; element < ELEMENTS; element++) {  // unrolled
        let place = min(begin + element * LANES, parameters.count - 1u);
        old[element] = Trained(weight[place], first[place], second[place]);
        gradients[element] = gradient[place];
    }
    for (var element = 0u; element < ELEMENTS; element++) {  // unrolled
        let place = begin + element * LANES;
        if place < parameters.count {
            let next = updated(old[element], gradients[element], parameters.weight_decay);
            weight[place] = next.weight;
            first[place] = next.first;
            second[place] = next.second;
        }
    }
}
