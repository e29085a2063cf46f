// The normalised row is the output.
fn finish(scaled: Pack, place: u32) -> Pack {
    return scaled;
}
