// The product x, soft-capped: cap tanh(x / cap).

fn finish(sum: f32, other: f32, at: u32) {
    y[at] = parameters.cap * safe_tanh(sum / parameters.cap);
}
