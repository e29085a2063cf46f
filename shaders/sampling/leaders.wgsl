// The likeliest token of each row, first half: of STRETCH logits the largest, the first of equal ones, and whether all are finite.
//
// logits: [rows, vocabulary]; leaders: [rows, stretches, 3]: the logit's bits, its place, how many are not finite. A workgroup a
// stretch of a row.
//
// Barriers: those of the sums and maxima over a workgroup.

const STRETCH: u32 = 1024u;

struct Parameters {
    rows: u32,
    vocabulary: u32,
    stretches: u32,
}

@group(0) @binding(0) var<uniform> parameters: Parameters;
@group(0) @binding(1) var<storage, read> logits: array<f32>;
@group(0) @binding(2) var<storage, read_write> leaders: array<u32>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let index = flat_workgroup(group, groups);
    if index >= parameters.rows * parameters.stretches {
        return;
    }
    let row = index / parameters.stretches;
    let first = index % parameters.stretches * STRETCH;
    let end = min(first + STRETCH, parameters.vocabulary);
    var own = LEAST;
    var place = first + lane;
    var faults = 0.0;
    for (var column = first + lane; column < end; column += 256u) {
        let x = logits[row * parameters.vocabulary + column];
        if !is_finite(x) {
            faults += 1.0;
        } else if x > own {
            own = x;
            place = column;
        }
    }
    let most = row_highest(own, lane);
    let all_faults = row_sums(vec2<f32>(faults, 0.0), lane).x;
    // Places are whole floats, exact up to 2^24; the first is the one whose negative is largest.
    let winner = row_highest(select(LEAST, -f32(place), own == most), lane);
    if lane == 0u {
        leaders[3u * index] = bitcast<u32>(most);
        leaders[3u * index + 1u] = u32(max(-winner, 0.0));
        leaders[3u * index + 2u] = u32(all_faults);
    }
}
