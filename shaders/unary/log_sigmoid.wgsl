// ln sigmoid(x), and its derivative sigmoid(-x): from y it would cancel.
fn value(x: f32) -> f32 {
    return log_sigmoid(x);
}

fn slope(x: f32) -> f32 {
    return sigmoid(-x);
}
