fn gradient(positive: f32, d_y: f32) -> f32 {
    return 2.0 * positive * d_y;
}
