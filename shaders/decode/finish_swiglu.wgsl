// SwiGLU: gate sigmoid(gate) times the value.

fn finish(gate: f32, value: f32, at: u32) {
    y[at] = gate * sigmoid(gate) * value;
}
