// di_t = k_t . dk_t, for the sigmoid input gate (SIGMOID = 1) times sigmoid(-i_t), and q_t . dq_t - k_t . dk_t with the sum of
// the absolute values of its products, from what d_query and d_key found tile by tile, before they rounded.
//
// input_gate, d_input_gate: [B, S, H]; rows: see mlstm/units_layout.wgsl; DOT_WIDTH: columns of one tile.
// One invocation computes one position; the tiles are added in order.

@group(0) @binding(1) var<storage, read> input_gate: array<f32>;
@group(0) @binding(2) var<storage, read_write> rows: array<f32>;
@group(0) @binding(3) var<storage, read_write> d_input_gate: array<f32>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let index = flat_workgroup(group, groups) * 256u + lane;
    if index >= parameters.cells * parameters.sequence {
        return;
    }
    let cell = index / parameters.sequence;
    let t = index % parameters.sequence;
    var query_sum = 0.0;
    var key_sum = 0.0;
    var size = 0.0;
    for (var tile = 0u; tile * DOT_WIDTH < parameters.qk_dim; tile++) {
        query_sum += rows[dot_place(tile, 0u, cell, t)];
        key_sum += rows[dot_place(tile, 2u, cell, t)];
        size += rows[dot_place(tile, 1u, cell, t)] + rows[dot_place(tile, 3u, cell, t)];
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
