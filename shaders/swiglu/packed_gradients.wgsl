// The gradients lie side by side in one tensor, as the inputs do.
@group(0) @binding(3) var<storage, read_write> d_x: array<Stored>;

fn store(index: u32, of_gate: Pack, of_up: Pack) {
    d_x[place(index)] = Stored(of_gate);
    d_x[place(index) + parameters.packs] = Stored(of_up);
}
