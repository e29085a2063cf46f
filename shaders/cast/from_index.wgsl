// The elements are whole numbers.
fn float_bits(word: u32) -> u32 {
    return bitcast<u32>(f32(word));
}
