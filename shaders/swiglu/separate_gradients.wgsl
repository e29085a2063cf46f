// The gradients are two tensors laid out like y.
@group(0) @binding(4) var<storage, read_write> d_gate: array<Pack>;
@group(0) @binding(5) var<storage, read_write> d_up: array<Pack>;

fn store(index: u32, of_gate: Pack, of_up: Pack) {
    d_gate[index] = of_gate;
    d_up[index] = of_up;
}
