// C' = forget * C + input * k v^T of one position, and h = s C'^T q / D, in one pass over C.
//
// query, key: [cells, dqk], value, h: [cells, dv], memory, next: [cells, dqk, dv]; factors: see mlstm/step_gates.wgsl.
// One workgroup computes 32 columns of one cell's C, invocation i column i % 32 of the rows i / 32, i / 32 + 8, ...
// Barrier: the eight partial sums of each column are complete before they are added in order.

@group(0) @binding(1) var<storage, read> query: array<Element>;
@group(0) @binding(2) var<storage, read> key: array<Element>;
@group(0) @binding(3) var<storage, read> value: array<Element>;
@group(0) @binding(4) var<storage, read> memory: array<f32>;
@group(0) @binding(5) var<storage, read> factors: array<f32>;
@group(0) @binding(6) var<storage, read_write> next: array<f32>;
@group(0) @binding(7) var<storage, read_write> h: array<f32>;

var<workgroup> partial: array<f32, 256>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let across = (parameters.v_dim + 31u) / 32u;
    let flat = flat_workgroup(group, groups);
    let cell = flat / across;
    if cell >= parameters.cells {
        return;
    }
    let column = flat % across * 32u + lane % 32u;
    let forget = factors[cell * 4u];
    let input = factors[cell * 4u + 1u];
    var sum = 0.0;
    if column < parameters.v_dim {
        let v = input * f32(value[cell * parameters.v_dim + column]);
        for (var a = lane / 32u; a < parameters.qk_dim; a += 8u) {
            let row = cell * parameters.qk_dim + a;
            let place = row * parameters.v_dim + column;
            let c = forget * memory[place] + f32(key[row]) * v;
            next[place] = c;
            sum += parameters.scale * f32(query[row]) * c;
        }
    }
    partial[lane] = sum;
    workgroupBarrier();
    if lane < 32u && column < parameters.v_dim {
        sum = 0.0;
        for (var at = lane; at < 256u; at += 32u) {
            sum += partial[at];
        }
        h[cell * parameters.v_dim + column] = sum * factors[cell * 4u + 3u];
    }
}
