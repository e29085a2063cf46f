// Causal attention of a single query, second half: the parts of the keys joined. With (m_i, t_i, o_i) of each part and
// m the largest m_i: z = sum_i exp(m_i - m) t_i, o = sum_i exp(m_i - m) o_i / z.
// parts: [batch, heads, tiles, D + 2], written by step_part.wgsl; output: [batch, 1, heads, D]; normalizers (m, z):
// [batch, heads].
//
// One workgroup a head, one column an invocation (D <= 256). Parts are added in their order; no exponent is above 0.

@group(0) @binding(1) var<storage, read> parts: array<f32>;
@group(0) @binding(2) var<storage, read_write> output: array<Element>;
@group(0) @binding(3) var<storage, read_write> normalizers: array<vec2<f32>>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let batch_head = flat_workgroup(group, groups);
    if batch_head >= parameters.batch_heads || lane >= parameters.head_dim {
        return;
    }
    let stride = parameters.head_dim + 2u;
    let first = batch_head * parameters.tiles * stride;
    var most = parts[first];
    for (var part = 1u; part < parameters.tiles; part++) {
        most = max(most, parts[first + part * stride]);
    }
    var total = 0.0;
    var sum = 0.0;
    for (var part = 0u; part < parameters.tiles; part++) {
        let place = first + part * stride;
        let factor = safe_exp(parts[place] - most);
        total += factor * parts[place + 1u];
        sum += factor * parts[place + 2u + lane];
    }
    output[batch_head * parameters.head_dim + lane] = Element(sum / total);
    if lane == 0u {
        normalizers[batch_head] = vec2<f32>(most, total);
    }
}
