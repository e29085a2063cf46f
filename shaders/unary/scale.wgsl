// x times the constant.
fn value(x: f32) -> f32 {
    return parameters.constant * x;
}

fn slope(x: f32) -> f32 {
    return parameters.constant;
}
