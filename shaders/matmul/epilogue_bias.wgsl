// A bias of one number a column is added to every row of a product.

@group(0) @binding(4) var<storage, read> bias: array<f32>;

fn epilogue(sum: f32, at: u32, column: u32) -> f32 {
    return sum + bias[column];
}
