// x · sigmoid(2u) with u = sqrt(2 / pi) · (x + 0.044715 x³): the tanh form, 0.5 x (1 + tanh u), without its cancellation.
const TWO_ROOT: f32 = 1.5957691216;  // 2 · sqrt(2 / pi)
const CUBIC: f32 = 0.044715;

// 2u
fn gelu_argument(x: f32) -> f32 {
    return TWO_ROOT * (x + CUBIC * x * x * x);
}

fn value(x: f32) -> f32 {
    return x * sigmoid(gelu_argument(x));
}

// From |x| = 30 on it is 0 or 1, and the products below would be infinity times 0.
fn slope(x: f32) -> f32 {
    let near = select(clamp(x, -30.0, 30.0), x, is_nan(x));
    let argument = gelu_argument(near);
    let argument_slope = TWO_ROOT * (1.0 + 3.0 * CUBIC * near * near);
    return sigmoid(argument) * (1.0 + near * sigmoid(-argument) * argument_slope);
}
