// ln(1 + e^x), and its derivative sigmoid(x).
fn value(x: f32) -> f32 {
    return softplus(x);
}

fn slope(x: f32) -> f32 {
    return sigmoid(x);
}
