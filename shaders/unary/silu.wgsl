// x · sigmoid(x), and its derivative sigmoid(x) · (1 + x · sigmoid(-x)): 1 - sigmoid(x) would cancel.
fn value(x: f32) -> f32 {
    return x * sigmoid(x);
}

fn slope(x: f32) -> f32 {
    return sigmoid(x) * (1.0 + x * sigmoid(-x));
}
