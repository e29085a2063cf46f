// e^x, its own derivative. Beyond f32 it stays finite.
fn value(x: f32) -> f32 {
    return safe_exp(x);
}

fn slope(y: f32) -> f32 {
    return y;
}
