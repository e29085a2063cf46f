// The rule of AdamW for one element:
//
//   g = gradient · clip / loss_scale          w = w · (1 - rate · weight_decay)
//   m = beta1·m + (1 - beta1)·g               v = beta2·v + (1 - beta2)·g²
//   w = w - rate / correction_1 · m / (√v / √correction_2 + epsilon)
//
// The rate and all that changes from step to step come from the state, so nothing is bound or built anew;
// the constants are the kernel's parameters.

struct Trained {
    weight: f32,
    first: f32,   // m
    second: f32,  // v
}

fn updated(old: Trained, gradient: f32, weight_decay: f32) -> Trained {
    let rate = bitcast<f32>(state[LEARNING_RATE]);
    let keep = 1.0 - rate * weight_decay;
    let scaled_rate = rate / bitcast<f32>(state[CORRECTION_1]);
    let root = sqrt(bitcast<f32>(state[CORRECTION_2]));
    let g = gradient * bitcast<f32>(state[GRADIENT_FACTOR]);
    let m = parameters.beta1 * old.first + parameters.rest1 * g;
    let v = parameters.beta2 * old.second + parameters.rest2 * g * g;
    return Trained(keep * old.weight - scaled_rate * m / (sqrt(v) / root + parameters.epsilon), m, v);
}
