// C' = forget C + input k v^T in place, and the numerators s C'^T q: decode/mlstm_gates.wgsl has the rest.
//
// stabilizer: [cells], m, which stays as it is here; memory: [cells, dqk, dv], dv a multiple of 4; numerator: [cells, dv].
// A workgroup computes 32 columns of one cell, invocation i the vector of four columns i % 8 in the rows i / 8, i / 8 + 32, ....
//
// Barriers: the partial sums of each column are complete before they are added, in order, in two levels.

@group(0) @binding(3) var<storage, read> stabilizer: array<f32>;
@group(0) @binding(4) var<storage, read_write> memory: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> numerator: array<vec4<f32>>;

var<workgroup> partial: array<vec4<f32>, 256>;
var<workgroup> gathered: array<vec4<f32>, 64>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let vectors = parameters.v_dim / 4u;
    let across = (vectors + 7u) / 8u;
    let flat = flat_workgroup(group, groups);
    let cell = flat / across;
    if cell >= parameters.cells {
        return;
    }
    let column = flat % across * 8u + lane % 8u;
    let gates = gates_of(cell, stabilizer[cell]);
    let query = query_place(cell);
    let key = key_place(cell);
    var sum = vec4<f32>();
    if column < vectors {
        let value = value_place(cell) + 4u * column;
        let v = gates.input
            * vec4<f32>(projection[value], projection[value + 1u], projection[value + 2u], projection[value + 3u]);
        for (var row = lane / 8u; row < parameters.qk_dim; row += 32u) {
            let place = (cell * parameters.qk_dim + row) * vectors + column;
            let c = gates.forget * memory[place] + projection[key + row] * v;
            memory[place] = c;
            sum += projection[query + row] * c;
        }
    }
    partial[lane] = sum;
    workgroupBarrier();  // all partial sums are there
    if lane < 64u {
        sum = vec4<f32>();
        for (var i = 0u; i < 4u; i++) {
            sum += partial[lane + 64u * i];
        }
        gathered[lane] = sum;
    }
    workgroupBarrier();  // the sums of every fourth are there
    if lane < 8u && column < vectors {
        sum = vec4<f32>();
        for (var i = 0u; i < 8u; i++) {
            sum += gathered[lane + 8u * i];
        }
        numerator[cell * vectors + column] = parameters.scale * sum;
    }
}
