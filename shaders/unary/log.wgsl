// The natural logarithm of x > 0, and its derivative 1 / x.
fn value(x: f32) -> f32 {
    return safe_log(x);
}

fn slope(x: f32) -> f32 {
    return 1.0 / x;
}
