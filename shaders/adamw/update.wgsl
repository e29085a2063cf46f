// AdamW on one tensor, in place, if the step state says that the step is applied:
//
//   g = gradient · clip / loss_scale          w = w · (1 - rate · weight_decay)
//   m = beta1·m + (1 - beta1)·g               v = beta2·v + (1 - beta2)·g²
//   w = w - rate / correction_1 · m / (√v / √correction_2 + epsilon)
//
// weight, first (m), second (v), gradient: [count]. One invocation updates four elements, 256 apart, so that neighbours
// touch neighbours. The rate and all that changes from step to step come from the state, so nothing is bound or built anew.

const LANES: u32 = 256u;
const ELEMENTS: u32 = 4u;  // a lane

struct Parameters {
    count: u32,
    weight_decay: f32,
    beta1: f32,
    beta2: f32,
    rest1: f32,  // 1 - beta1, rounded once
    rest2: f32,
    epsilon: f32,
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
    let rate = bitcast<f32>(state[LEARNING_RATE]);
    let factor = bitcast<f32>(state[GRADIENT_FACTOR]);
    let keep = 1.0 - rate * parameters.weight_decay;
    let scaled_rate = rate / bitcast<f32>(state[CORRECTION_1]);
    let root = sqrt(bitcast<f32>(state[CORRECTION_2]));
    let begin = flat_workgroup(group, groups) * LANES * ELEMENTS + lane;
    for (var element = 0u; element < ELEMENTS; element++) {
        let place = begin + element * LANES;
        if place < parameters.count {
            let g = gradient[place] * factor;
            let m = parameters.beta1 * first[place] + parameters.rest1 * g;
            let v = parameters.beta2 * second[place] + parameters.rest2 * g * g;
            first[place] = m;
            second[place] = v;
            weight[place] = keep * weight[place] - scaled_rate * m / (sqrt(v) / root + parameters.epsilon);
        }
    }
}
