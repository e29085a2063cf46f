// Gate and up are two tensors laid out like y.
@group(0) @binding(2) var<storage, read> gate: array<Stored>;
@group(0) @binding(3) var<storage, read> up: array<Stored>;

fn gate_at(index: u32) -> Pack {
    return Pack(gate[index]);
}

fn up_at(index: u32) -> Pack {
    return Pack(up[index]);
}
