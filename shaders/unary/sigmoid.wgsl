// sigmoid, and its derivative sigmoid(x) · sigmoid(-x): from y, 1 - y would cancel.
fn value(x: f32) -> f32 {
    return sigmoid(x);
}

fn slope(x: f32) -> f32 {
    return sigmoid(x) * sigmoid(-x);
}
