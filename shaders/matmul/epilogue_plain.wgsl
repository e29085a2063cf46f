// Products are stored as they are, or added to what C holds.
fn epilogue(sum: f32, at: u32, column: u32) -> f32 {
    if parameters.accumulate == 1u {
        return sum + stored(at);
    }
    return sum;
}
