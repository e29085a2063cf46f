// Planted: the gradient of what follows is forgotten.
fn gradient(positive: f32, d_y: f32) -> f32 {
    return 2.0 * positive;
}
