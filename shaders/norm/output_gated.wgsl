// The normalised row passes a gate: y = sigmoid(gate) · scaled, with gate laid out like y.
@group(0) @binding(4) var<storage, read> gate: array<Stored>;

fn finish(scaled: Pack, place: u32) -> Pack {
    return sigmoid_pack(Pack(gate[place])) * scaled;
}
