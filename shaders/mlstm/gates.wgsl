// Sums of ln f inside each chunk, and the stabilisers that the chunk alone gives rise to.
//
// input_gate, forget_gate: [B, S, H]; reset: [B, S], read only if the flag says so; gates: the planes of mlstm/layout.wgsl.
// One workgroup computes one chunk of one cell, an invocation each position. Each sum runs over its own segment, term by
// term: differences of prefix sums would cancel. Of the forward, this is the only kernel that knows which function the input
// gate is: with the sigmoid (SIGMOID = 1) every stabiliser is 0. Where a document begins ln f is LOWEST, and so is, about,
// every sum that runs over it, whose exponential is 0.
// Barriers: the logarithms are complete before they are summed; the maxima of each level before the next level's.

@group(0) @binding(1) var<storage, read> input_gate: array<f32>;
@group(0) @binding(2) var<storage, read> forget_gate: array<f32>;
@group(0) @binding(3) var<storage, read> reset: array<u32>;
@group(0) @binding(4) var<storage, read_write> gates: array<f32>;

var<workgroup> log_forget: array<f32, 256>;
var<workgroup> log_input: array<f32, 256>;
var<workgroup> highest: array<f32, 256>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let flat = flat_workgroup(group, groups);
    if flat >= parameters.cells * parameters.chunks {
        return;
    }
    let cell = flat / parameters.chunks;
    let chunk = flat % parameters.chunks;
    let rows = chunk_rows(chunk);
    let t = chunk * parameters.chunk_size + lane;
    if lane < rows {
        let place = row_start(cell, t, 1u);
        log_forget[lane] = log_sigmoid(forget_gate[place]);
        if (parameters.flags & RESET_GIVEN) != 0u && reset[cell / parameters.heads * parameters.sequence + t] != 0u {
            log_forget[lane] = LOWEST;
        }
        if SIGMOID == 1u {
            log_input[lane] = log_sigmoid(input_gate[place]);
        } else {
            log_input[lane] = input_gate[place];
        }
    }
    highest[lane] = LOWEST;
    workgroupBarrier();
    if lane < rows {
        var sum = 0.0;
        var prefix = 0.0;
        var reach = log_input[lane];
        // Counted, not left by a break: one driver (SwiftShader) loses what an invocation adds in the iteration that it leaves.
        for (var back = 0u; back <= lane; back++) {
            let r = lane - back;
            sum += log_forget[r];
            if r / TILE == lane / TILE {
                prefix = sum;
            }
            if r > 0u {
                reach = max(reach, sum + log_input[r - 1u]);
            }
        }
        var rest = 0.0;
        var suffix = 0.0;
        for (var r = lane + 1u; r < rows; r++) {
            rest += log_forget[r];
            if r / TILE == lane / TILE {
                suffix = rest;
            }
        }
        gates[plane(LOG_FORGET, cell, t)] = log_forget[lane];
        gates[plane(LOG_INPUT, cell, t)] = log_input[lane];
        gates[plane(TILE_PREFIX, cell, t)] = prefix;
        gates[plane(TILE_SUFFIX, cell, t)] = suffix;
        gates[plane(FROM_START, cell, t)] = sum;
        gates[plane(TO_END, cell, t)] = rest + log_input[lane];
        // Sums of logarithms of sigmoids are at most 0, so that the maximum of one and 0 is 0.
        gates[plane(REACH, cell, t)] = select(reach, 0.0, SIGMOID == 1u);
        gates[plane(PEAK, cell, t)] = reach;
        highest[lane] = rest + log_input[lane];
        if lane == rows - 1u {
            gates[chunk_place(cell, chunk)] = sum;
        }
    }
    workgroupBarrier();
    for (var half = 128u; half > 0u; half /= 2u) {
        if lane < half {
            highest[lane] = max(highest[lane], highest[lane + half]);
        }
        workgroupBarrier();
    }
    if lane == 0u {
        gates[chunk_place(cell, chunk) + 1u] = select(highest[0], 0.0, SIGMOID == 1u);
        gates[chunk_place(cell, chunk) + 2u] = highest[0];
    }
}
