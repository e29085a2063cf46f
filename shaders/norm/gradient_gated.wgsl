// The gate s = sigmoid(gate): u = d_y · s goes on to the norm, and d_gate = d_y · scaled · s · (1 - s).
@group(0) @binding(6) var<storage, read> gate: array<Pack>;
@group(0) @binding(7) var<storage, read_write> d_gate: array<Pack>;

// sigmoid(gate) of the row in hand, for this invocation's packs.
var<private> opening: array<Pack, KEPT>;

fn incoming(k: u32, d_y: Pack, place: u32) -> Pack {
    opening[k] = sigmoid_pack(gate[place]);
    return d_y * opening[k];
}

fn outgoing(k: u32, upstream: Pack, scaled: Pack, place: u32) {
    d_gate[place] = upstream * scaled * (1.0 - opening[k]);
}
