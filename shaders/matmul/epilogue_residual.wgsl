// A tensor laid out like C, the residual stream, is added to the products.

@group(0) @binding(4) var<storage, read> residual: array<f32>;

fn epilogue(sum: f32, at: u32, column: u32) -> f32 {
    return sum + residual[at];
}
