// The likeliest token of each row, second half: the first of the largest of sampling/leaders.wgsl.
//
// leaders: [rows, stretches, 3]. given, state, tokens, reports: see sampling/settle.wgsl. A workgroup a row.
//
// Barriers: those of the sums and maxima over a workgroup.

struct Parameters {
    rows: u32,
    stretches: u32,
    words: u32,
}

@group(0) @binding(0) var<uniform> parameters: Parameters;
@group(0) @binding(1) var<storage, read> leaders: array<u32>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = flat_workgroup(group, groups);
    if row >= parameters.rows {
        return;
    }
    var own = LEAST;
    var place = 0u;
    var faults = 0.0;
    for (var stretch = lane; stretch < parameters.stretches; stretch += 256u) {
        let at = 3u * (row * parameters.stretches + stretch);
        let x = bitcast<f32>(leaders[at]);
        if x > own || stretch == lane {
            own = x;
            place = leaders[at + 1u];
        }
        faults += f32(leaders[at + 2u]);
    }
    let most = row_highest(own, lane);
    let all_faults = row_sums(vec2<f32>(faults, 0.0), lane).x;
    let winner = row_highest(select(LEAST, -f32(place), own == most && lane < parameters.stretches), lane);
    if lane == 0u {
        settle(row, parameters.words, u32(max(-winner, 0.0)), all_faults == 0.0);
    }
}
