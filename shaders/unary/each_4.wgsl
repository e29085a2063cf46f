// Packs of four elements.
fn value_pack(x: Pack) -> Pack {
    return Pack(value(x.x), value(x.y), value(x.z), value(x.w));
}

fn slope_pack(saved: Pack) -> Pack {
    return Pack(slope(saved.x), slope(saved.y), slope(saved.z), slope(saved.w));
}
