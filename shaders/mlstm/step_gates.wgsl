// m' = max(ln f + m, ln i) of one position, and the factors that follow from it.
//
// input_gate, forget_gate, stabilizer, next: [cells]; factors [cells, 4]: that of the state, that of the position,
// exp(-m'), and room for 1/D. One invocation computes one cell.

@group(0) @binding(1) var<storage, read> input_gate: array<f32>;
@group(0) @binding(2) var<storage, read> forget_gate: array<f32>;
@group(0) @binding(3) var<storage, read> stabilizer: array<f32>;
@group(0) @binding(4) var<storage, read_write> next: array<f32>;
@group(0) @binding(5) var<storage, read_write> factors: array<f32>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let cell = flat_workgroup(group, groups) * 256u + lane;
    if cell >= parameters.cells {
        return;
    }
    let kept = log_sigmoid(forget_gate[cell]) + stabilizer[cell];
    let after = max(kept, input_gate[cell]);
    next[cell] = after;
    factors[cell * 4u] = safe_exp(kept - after);
    factors[cell * 4u + 1u] = safe_exp(input_gate[cell] - after);
    factors[cell * 4u + 2u] = safe_exp(-after);
}
