// x², and its derivative 2 x.
fn value(x: f32) -> f32 {
    return x * x;
}

fn slope(x: f32) -> f32 {
    return 2.0 * x;
}
