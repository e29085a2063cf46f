// sigmoid, and its derivative sigmoid(x) · sigmoid(-x) = e / (1 + e)² with e = e^-|x|: from y, 1 - y would cancel.
fn value(x: f32) -> f32 {
    return sigmoid(x);
}

fn slope(x: f32) -> f32 {
    let e = safe_exp(-abs(x));
    return e / ((1.0 + e) * (1.0 + e));
}
