// x to the power of the constant, x > 0, and its derivative.
fn value(x: f32) -> f32 {
    return pow(x, parameters.constant);
}

fn slope(x: f32) -> f32 {
    return parameters.constant * pow(x, parameters.constant - 1.0);
}
