// The gradients are two tensors laid out like y.
@group(0) @binding(4) var<storage, read_write> d_gate: array<Stored>;
@group(0) @binding(5) var<storage, read_write> d_up: array<Stored>;

fn store(index: u32, of_gate: Pack, of_up: Pack) {
    d_gate[index] = Stored(of_gate);
    d_up[index] = Stored(of_up);
}
