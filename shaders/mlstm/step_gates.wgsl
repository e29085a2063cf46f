// m' = max(ln f + m, ln i) of one position, 0 for the sigmoid input gate (SIGMOID = 1), and the factors that follow from it.
//
// input_gate, forget_gate, stabilizer, next: [cells]; reset: [B], read only if the flag says so; factors [cells, 4]: that of the state, that of the position,
// exp(-m'), and room for 1/D. One invocation computes one cell.

@group(0) @binding(1) var<storage, read> input_gate: array<f32>;
@group(0) @binding(2) var<storage, read> forget_gate: array<f32>;
@group(0) @binding(3) var<storage, read> stabilizer: array<f32>;
@group(0) @binding(4) var<storage, read> reset: array<u32>;
@group(0) @binding(5) var<storage, read_write> next: array<f32>;
@group(0) @binding(6) var<storage, read_write> factors: array<f32>;

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
    var log_forget = log_sigmoid(forget_gate[cell]);
    if (parameters.flags & RESET_GIVEN) != 0u && reset[cell / parameters.heads] != 0u {
        log_forget = LOWEST;
    }
    var kept = log_forget;
    var log_input = 0.0;
    var after = 0.0;
    if SIGMOID == 1u {
        log_input = log_sigmoid(input_gate[cell]);
    } else {
        kept += stabilizer[cell];
        log_input = input_gate[cell];
        after = max(kept, log_input);
    }
    next[cell] = after;
    factors[cell * 4u] = safe_exp(kept - after);
    factors[cell * 4u + 1u] = safe_exp(log_input - after);
    factors[cell * 4u + 2u] = safe_exp(-after);
}
