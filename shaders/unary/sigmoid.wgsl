// sigmoid, and its derivative from y: y · (1 - y).
fn value(x: f32) -> f32 {
    return sigmoid(x);
}

fn slope(y: f32) -> f32 {
    return y * (1.0 - y);
}
