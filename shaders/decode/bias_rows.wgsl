// A linear layer's bias, a number for each row of the weight.

@group(0) @binding(5) var<storage, read> bias: array<f32>;

fn with_bias(sum: f32, row: u32) -> f32 {
    return sum + bias[row];
}
