// The gate s = sigmoid(gate): u = d_y · s goes on to the norm, and d_gate = d_y · scaled · s · sigmoid(-gate).
@group(0) @binding(6) var<storage, read> gate: array<Stored>;
@group(0) @binding(7) var<storage, read_write> d_gate: array<Stored>;

// 1 - sigmoid(gate) of the row in hand, for this invocation's packs; as sigmoid(-gate) it does not cancel.
var<private> closing: array<Pack, KEPT>;

fn incoming(k: u32, d_y: Pack, place: u32) -> Pack {
    closing[k] = sigmoid_pack(-Pack(gate[place]));
    return d_y * sigmoid_pack(Pack(gate[place]));
}

fn outgoing(k: u32, upstream: Pack, scaled: Pack, place: u32) {
    d_gate[place] = Stored(upstream * scaled * closing[k]);
}
