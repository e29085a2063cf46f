// Gate and up lie side by side in one tensor: each row is the gate's row, then up's.
@group(0) @binding(2) var<storage, read> x: array<Stored>;

// The place of the gate; up is a row of y further on.
fn place(index: u32) -> u32 {
    return index + index / parameters.packs * parameters.packs;
}

fn gate_at(index: u32) -> Pack {
    return Pack(x[place(index)]);
}

fn up_at(index: u32) -> Pack {
    return Pack(x[place(index) + parameters.packs]);
}
