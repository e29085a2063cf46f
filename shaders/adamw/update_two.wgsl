// AdamW on two small tensors, in place, if the step state says that the step is applied; the rule is in adamw/rule.wgsl.
//
// Of each: weight, gradient: [count]; moments: [2, count], m and then v. The first `split` workgroups update tensor 0, the
// others tensor 1. One invocation updates four elements, 256 apart, so that neighbours touch neighbours.

const LANES: u32 = 256u;
const ELEMENTS: u32 = 4u;  // a lane

struct Parameters {
    beta1: f32,
    beta2: f32,
    rest1: f32,  // 1 - beta1, rounded once
    rest2: f32,
    epsilon: f32,
    split: u32,
    count_0: u32,
    count_1: u32,
    weight_decay_0: f32,
    weight_decay_1: f32,
}

@group(0) @binding(0) var<uniform> parameters: Parameters;
@group(0) @binding(1) var<storage, read> state: array<u32>;
@group(0) @binding(2) var<storage, read> gradient_0: array<f32>;
@group(0) @binding(3) var<storage, read_write> weight_0: array<f32>;
@group(0) @binding(4) var<storage, read_write> moments_0: array<f32>;
@group(0) @binding(5) var<storage, read> gradient_1: array<f32>;
@group(0) @binding(6) var<storage, read_write> weight_1: array<f32>;
@group(0) @binding(7) var<storage, read_write> moments_1: array<f32>;

// All is loaded before anything is stored, and without conditions: else each load is waited for by itself.

fn update_0(begin: u32) {
    let count = parameters.count_0;
    var old: array<Trained, ELEMENTS>;
    var gradients: array<f32, ELEMENTS>;
    for (var element = 0u; element < ELEMENTS; element++) {  // unrolled
        let place = min(begin + element * LANES, count - 1u);
        old[element] = Trained(weight_0[place], moments_0[place], moments_0[place + count]);
        gradients[element] = gradient_0[place];
    }
    for (var element = 0u; element < ELEMENTS; element++) {  // unrolled
        let place = begin + element * LANES;
        if place < count {
            let next = updated(old[element], gradients[element], parameters.weight_decay_0);
            weight_0[place] = next.weight;
            moments_0[place] = next.first;
            moments_0[place + count] = next.second;
        }
    }
}

fn update_1(begin: u32) {
    let count = parameters.count_1;
    var old: array<Trained, ELEMENTS>;
    var gradients: array<f32, ELEMENTS>;
    for (var element = 0u; element < ELEMENTS; element++) {  // unrolled
        let place = min(begin + element * LANES, count - 1u);
        old[element] = Trained(weight_1[place], moments_1[place], moments_1[place + count]);
        gradients[element] = gradient_1[place];
    }
    for (var element = 0u; element < ELEMENTS; element++) {  // unrolled
        let place = begin + element * LANES;
        if place < count {
            let next = updated(old[element], gradients[element], parameters.weight_decay_1);
            weight_1[place] = next.weight;
            moments_1[place] = next.first;
            moments_1[place + count] = next.second;
        }
    }
}

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    if state[FINITE] == 0u {
        return;
    }
    let block = flat_workgroup(group, groups);
    if block < parameters.split {
        update_0(block * ELEMENTS * LANES + lane);
    } else {
        update_1((block - parameters.split) * ELEMENTS * LANES + lane);
    }
}
