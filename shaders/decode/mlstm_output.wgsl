// n' = forget n + input k and m' in place; h = numerator / D with D = max(|s n'.q|, exp(-m')) + cell_epsilon; and
// y = sigmoid(o) (h - mean) / sqrt(variance + norm_epsilon) scale, the LayerNorm over the head: decode/mlstm_gates.wgsl has the rest.
//
// stabilizer: [cells]; normalizer: [cells, dqk]; numerator, y: [cells, dv], y being [batch, heads dv]; scale: [heads dv].
// A workgroup a cell, invocation i the elements i, i + 256, ....
//
// Barriers: all have read m before it is replaced, since sums over the whole workgroup come between.

@group(0) @binding(3) var<storage, read_write> stabilizer: array<f32>;
@group(0) @binding(4) var<storage, read_write> normalizer: array<f32>;
@group(0) @binding(5) var<storage, read> numerator: array<f32>;
@group(0) @binding(6) var<storage, read> scale: array<f32>;
@group(0) @binding(7) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let cell = flat_workgroup(group, groups);
    if cell >= parameters.cells {
        return;
    }
    let gates = gates_of(cell, stabilizer[cell]);
    let query = query_place(cell);
    let key = key_place(cell);
    var product = 0.0;
    for (var at = lane; at < parameters.qk_dim; at += 256u) {
        let place = cell * parameters.qk_dim + at;
        let n = gates.forget * normalizer[place] + gates.input * projection[key + at];
        normalizer[place] = n;
        product += parameters.scale * projection[query + at] * n;
    }
    var sum = 0.0;
    for (var at = lane; at < parameters.v_dim; at += 256u) {
        sum += numerator[cell * parameters.v_dim + at];
    }
    let sums = row_sums(vec2<f32>(product, sum), lane);
    if lane == 0u {
        stabilizer[cell] = gates.stabilizer;
    }
    let inverse = 1.0 / (max(abs(sums.x), safe_exp(-gates.stabilizer)) + parameters.cell_epsilon);
    let mean = inverse * sums.y / f32(parameters.v_dim);
    var square = 0.0;
    for (var at = lane; at < parameters.v_dim; at += 256u) {
        let difference = inverse * numerator[cell * parameters.v_dim + at] - mean;
        square += difference * difference;
    }
    let variance = row_sums(vec2<f32>(square, 0.0), lane).x / f32(parameters.v_dim);
    let factor = inverseSqrt(variance + parameters.norm_epsilon);
    let head = cell % parameters.heads;
    let gate = value_place(cell) + parameters.heads * parameters.v_dim;
    for (var at = lane; at < parameters.v_dim; at += 256u) {
        let place = cell * parameters.v_dim + at;
        let difference = inverse * numerator[place] - mean;
        y[place] = sigmoid(projection[gate + at]) * difference * factor * scale[head * parameters.v_dim + at];
    }
}
