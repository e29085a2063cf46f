// Packs of one element.
fn value_pack(x: Pack) -> Pack {
    return value(x);
}

fn slope_pack(saved: Pack) -> Pack {
    return slope(saved);
}
