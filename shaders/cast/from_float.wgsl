// The elements are f32, stored as their bits.
fn float_bits(word: u32) -> u32 {
    return word;
}
