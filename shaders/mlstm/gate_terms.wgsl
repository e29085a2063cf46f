// di_t = k_t . dk_t, for the sigmoid input gate (SIGMOID = 1) times sigmoid(-i_t), and q_t . dq_t - k_t . dk_t, whose sums make
// df, with the sum of the absolute values of its products.
//
// query, key and their gradients: [B, S, H, dqk]; input_gate, d_input_gate: [B, S, H]; rows: see mlstm/layout.wgsl.
// One workgroup computes 16 positions, 16 invocations each, whose partial sums are added in order.
// Barrier: the partial sums are complete before they are added.

@group(0) @binding(1) var<storage, read> query: array<Element>;
@group(0) @binding(2) var<storage, read> key: array<Element>;
@group(0) @binding(3) var<storage, read> d_query: array<f32>;
@group(0) @binding(4) var<storage, read> d_key: array<f32>;
@group(0) @binding(5) var<storage, read> input_gate: array<f32>;
@group(0) @binding(6) var<storage, read_write> rows: array<f32>;
@group(0) @binding(7) var<storage, read_write> d_input_gate: array<f32>;

var<workgroup> of_query: array<f32, 256>;
var<workgroup> of_key: array<f32, 256>;
var<workgroup> sizes: array<f32, 256>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let index = flat_workgroup(group, groups) * 16u + lane / 16u;
    let inside = index < parameters.cells * parameters.sequence;
    let cell = index / parameters.sequence;
    let t = index % parameters.sequence;
    var query_sum = 0.0;
    var key_sum = 0.0;
    var size = 0.0;
    if inside {
        let start = row_start(cell, t, parameters.qk_dim);
        for (var at = lane % 16u; at < parameters.qk_dim; at += 16u) {
            let of_q = f32(query[start + at]) * d_query[start + at];
            let of_k = f32(key[start + at]) * d_key[start + at];
            query_sum += of_q;
            key_sum += of_k;
            size += abs(of_q) + abs(of_k);
        }
    }
    of_query[lane] = query_sum;
    of_key[lane] = key_sum;
    sizes[lane] = size;
    workgroupBarrier();
    if !inside || lane % 16u != 0u {
        return;
    }
    query_sum = 0.0;
    key_sum = 0.0;
    size = 0.0;
    for (var at = 0u; at < 16u; at++) {
        query_sum += of_query[lane + at];
        key_sum += of_key[lane + at];
        size += sizes[lane + at];
    }
    let gate = row_start(cell, t, 1u);
    if SIGMOID == 1u {
        d_input_gate[gate] = sigmoid(-input_gate[gate]) * key_sum;
    } else {
        d_input_gate[gate] = key_sum;
    }
    rows[plane(FORGET_TERM, cell, t)] = query_sum - key_sum;
    rows[plane(FORGET_SIZE, cell, t)] = size;
}
